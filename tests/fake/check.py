"""check.py PORT ROOT: tries a fake CA that validates nothing; prints TAP."""
from __future__ import annotations

import http.client
import json
import sys
import time
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

import issue
from client import Answer, Client

NAME = "www.example.org"


class Tap:
    def __init__(self) -> None:
        self.count = 0
        self.failed = 0

    def ok(self, passed: bool, text: str) -> None:
        self.count += 1
        self.failed += not passed
        print(f"{'' if passed else 'not '}ok {self.count} - {text}")

    def equal(self, got: Any, want: Any, text: str) -> None:
        self.ok(got == want, text)
        if got != want:
            print(f"# got:  {got!r}\n# want: {want!r}")


tap = Tap()


def arm(client: Client, *rules: dict[str, Any]) -> None:
    answer = client.request("PUT", "/control", json.dumps(rules).encode())
    if answer.status != 204:
        tap.ok(False, f"the rules are taken: {answer.body!r}")


def dropped(client: Client, *names: str) -> bool:
    try:
        client.order(*names)
    except (OSError, http.client.HTTPException):
        return True
    return False


# -- honesty: what a strict CA refuses -------------------------------------

def refuses(answer: Answer, problem: str, status: int, text: str) -> None:
    tap.equal((answer.problem(), answer.status), (problem, status), text)


def check_requests(client: Client) -> None:
    refuses(client.post("/account", {"onlyReturnExisting": True}),
            "accountDoesNotExist", 400, "an unknown key has no account")
    refuses(client.post("/account", {}), "userActionRequired", 403,
            "the terms must be agreed to")
    tap.equal(client.register(contact=["mailto:a@example.org"]).status, 201,
              "an account is made")
    kid, client.kid = client.kid, ""
    tap.equal(client.register().status, 200, "and found again by its key")
    tap.equal(client.kid, kid, "with the same URL")
    refuses(client.post("/order", {}, nonce="made-up"), "badNonce", 400,
            "a nonce it did not give")
    used = client.nonce
    client.post(kid, None)
    refuses(client.post(kid, None, nonce=used), "badNonce", 400,
            "a nonce that was used")
    refuses(client.post(kid, None, url=kid + "/"), "unauthorized", 403,
            "a url that is another")
    refuses(client.post(kid, None, kid=kid + "9"), "accountDoesNotExist", 400,
            "a kid that it does not know")
    refuses(client.post(kid, None, jwk=client.jwk()), "malformed", 400,
            "kid and jwk together")
    refuses(client.post(kid, None, alg="RS256"), "badSignatureAlgorithm", 400,
            "an alg that is not the key's")
    forged = json.loads(client.sign(kid.replace(client.base, ""), None))
    forged["payload"] = "e30"
    path = kid.replace(client.base, "")
    refuses(client.request("POST", path, json.dumps(forged).encode()),
            "malformed", 400, "a signature of something else")
    body = client.sign(path, None)
    refuses(client.request("POST", path, body, **{"Content-Type":
                                                  "application/json"}),
            "unsupportedMediaType", 415, "another content type")
    refuses(client.request("GET", path), "malformed", 405, "a GET")
    connection = client.connect()
    connection.putrequest("GET", "/directory")
    connection.endheaders()
    tap.equal(connection.getresponse().status, 400, "no User-Agent")
    connection.close()


def check_orders(client: Client) -> None:
    for name in ("localhost", "UPPER.example.org", "a..example.org", "1.2.3.4",
                 "*.*.example.org", "a_b.example.org"):
        refuses(client.order(name), "rejectedIdentifier", 400, name)
    refuses(client.order(NAME, NAME), "malformed", 400, "a name twice")
    order = client.order(NAME)
    tap.equal((order.status, order.json()["status"]), (201, "pending"),
              "an order is pending")
    refuses(client.finalize(order, NAME), "orderNotReady", 403,
            "finalized before it is ready")
    url = order.json()["authorizations"][0]
    refuses(client.post(url, {}), "malformed", 400,
            "a payload where POST-as-GET is meant")
    client.respond(order)
    tap.equal(client.post(url, None).json()["status"], "valid",
              "the authorization is valid")
    refuses(client.finalize(order, NAME, "b.example.org"), "badCSR", 400,
            "a CSR with a name more")
    own, client.leaf_key = client.leaf_key, client.key
    refuses(client.finalize(order, NAME), "badCSR", 400,
            "a CSR of the account's key")
    client.leaf_key = own
    done = client.finalize(order, NAME).json()
    tap.equal(done["status"], "valid", "finalized, the order is valid")
    chain = client.post(done["certificate"], None)
    tap.equal(verdict(client, chain, [NAME]), "", "its certificate is right")
    other = Client(client.port, root)
    other.register()
    refuses(other.post(done["certificate"], None), "unauthorized", 403,
            "another account may not have it")


# -- certificates ----------------------------------------------------------

def signed_by(certificate: x509.Certificate,
              issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(certificate.signature, certificate.tbs_certificate_bytes,
                   ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return certificate.issuer == issuer.subject


def verdict(client: Client, answer: Answer, names: list[str]) -> str:
    """What is wrong with a chain, in one word."""
    blocks = answer.body.split(b"-----END CERTIFICATE-----\n")
    if blocks.pop() or len(blocks) != 2:
        return "form"
    if any(not block.startswith(b"-----BEGIN CERT") for block in blocks):
        return "form"
    leaf, ca = (x509.load_pem_x509_certificate(
        block + b"-----END CERTIFICATE-----\n") for block in blocks)
    with open(root, "rb") as file:
        anchor = x509.load_pem_x509_certificate(file.read())
    if not signed_by(leaf, ca) or not signed_by(ca, anchor):
        return "signature"
    if issue.spki(leaf.public_key()) != issue.spki(
            client.leaf_key.public_key()):
        return "key"
    return extensions_verdict(leaf, names)


def extensions_verdict(leaf: x509.Certificate, names: list[str]) -> str:
    found: list[str] = []
    feature = False
    for extension in leaf.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            found = [str(name.value) for name in value]
        elif isinstance(value, x509.BasicConstraints) and value.ca:
            return "ca"
        feature |= isinstance(value, x509.TLSFeature)
    now = time.strftime("%Y%m%d%H%M%S", time.gmtime())
    if not (leaf.not_valid_before.strftime("%Y%m%d%H%M%S") <= now
            <= leaf.not_valid_after.strftime("%Y%m%d%H%M%S")):
        return "time"
    return "names" if found != names else "feature" if feature else ""


VERDICTS = {
    "other-key": "key", "other-names": "names", "extra-name": "names",
    "missing-name": "names", "cn-only": "names", "expired": "time",
    "future": "time", "ca-leaf": "ca", "must-staple": "feature",
    "no-must-staple": "", "unknown-issuer": "signature",
    "wrong-order": "signature", "duplicate-leaf": "form",
}


def check_certificates(client: Client) -> None:
    names = [NAME, "b.example.org"]
    for variant in issue.VARIANTS:
        arm(client, {"on": "certificate", "do": {"certificate": variant}})
        tap.equal(verdict(client, client.certificate(*names), names),
                  VERDICTS.get(variant, "form"), f"certificate: {variant}")
    arm(client)


# -- rules -----------------------------------------------------------------

def check_refusals(client: Client) -> None:
    arm(client, {"on": "newOrder", "nth": 2, "do": {"problem": {
        "type": "rateLimited", "retry_after": 7, "subproblems": [1]}}})
    tap.equal(client.order(NAME).status, 201, "nth: not the first")
    answer = client.order(NAME)
    refuses(answer, "rateLimited", 429, "but the second")
    tap.equal((answer.headers["Retry-After"], answer.json()["subproblems"]),
              ("7", [1]), "with Retry-After and subproblems")
    tap.equal(client.order(NAME).status, 201, "not the third")

    arm(client, {"on": "newOrder", "name": "b.example.org", "do":
                 {"status": 503, "body": "<p>", "headers":
                  {"Retry-After": ["1", "2"], "Replay-Nonce": None}}})
    tap.equal(client.order(NAME).status, 201, "name: others are not meant")
    answer = client.order("b.example.org")
    tap.equal((answer.status, answer.body, answer.headers["Replay-Nonce"],
               answer.headers.get_all("Retry-After")),
              (503, b"<p>", None, ["1", "2"]), "status, body and headers")
    arm(client, {"on": "newOrder", "from": 2, "do": {"badNonce": 1}})
    client.nonce = ""
    tap.equal(client.order(NAME).status, 201, "from: not the first")
    refuses(client.order(NAME), "badNonce", 400, "badNonce")
    arm(client, {"on": "newOrder", "do": {"redirect": "{base}/elsewhere"}})
    answer = client.order(NAME)
    tap.equal((answer.status, answer.headers["Location"]),
              (302, client.base + "/elsewhere"), "redirect")


def orders(client: Client) -> int:
    return int(client.request("GET", "/control").json()["orders"])


def check_delivery(client: Client) -> None:
    for drop, made in (("before", 0), ("after", 1), ("half", 1)):
        for reset in (False, True):
            arm(client, {"on": "newOrder", "do": {"drop": drop,
                                                  "reset": reset}})
            before = orders(client)
            client.nonce = ""
            tap.ok(dropped(client, NAME), f"drop {drop}, reset {reset}")
            tap.equal(orders(client) - before, made, f"{made} orders made")
    for do, least in (({"stall": .2}, .2), ({"stall_body": .2}, .2),
                      ({"trickle": .0001}, .05)):
        arm(client, {"on": "directory", "do": do})
        began = time.monotonic()
        answer = client.request("GET", "/directory")
        tap.ok(answer.status == 200 and
               time.monotonic() - began >= least, f"{do}")
    arm(client, {"on": "directory", "do": {
        "chunked": True, "pad": 100000, "many_headers": 50,
        "long_header": 9000, "close": True}})
    answer = client.request("GET", "/directory")
    tap.equal((len(answer.body), len(answer.headers["X-Filler"]),
               answer.headers["X-Filler-49"], answer.headers["Connection"],
               answer.headers["Transfer-Encoding"]),
              (100000, 9000, "x", "close", "chunked"),
              "pad, chunked, close, long and many headers")
    arm(client, {"on": "directory", "do": {"endless": True}})
    connection = client.connect()
    connection.request("GET", "/directory", headers={"User-Agent": "check"})
    tap.equal(len(connection.getresponse().read(3000000)), 3000000, "endless")
    connection.close()


def check_documents(client: Client) -> None:
    arm(client, {"on": "directory", "do": {
        "set": {"/newOrder": "http://x/", "/meta/website": 5},
        "delete": ["/newNonce"]}})
    directory = client.request("GET", "/directory").json()
    tap.equal((directory["newOrder"], directory["meta"]["website"],
               "newNonce" in directory), ("http://x/", 5, False),
              "set and delete")
    arm(client, {"on": "newOrder", "do": {"json": {"status": 5}}})
    tap.equal(client.order(NAME).json(), {"status": 5}, "json")


def check_protocol(client: Client) -> None:
    for status in ("valid", "deactivated", "invalid"):
        arm(client, {"on": "newOrder", "do": {"authz": status}})
        order = client.order(NAME)
        authz = client.post(order.json()["authorizations"][0], None).json()
        tap.equal((authz["status"], order.json()["status"]),
                  (status, "ready" if status == "valid" else "invalid"),
                  f"authz: {status}")
    for form, count in (("empty", 0), ("duplicate", 2)):
        arm(client, {"on": "newOrder", "do": {"authz": form}})
        tap.equal(len(client.order(NAME).json()["authorizations"]), count,
                  f"authz: {form}")
    for state in ("pending", "invalid"):
        arm(client, {"on": "challenge", "do": {"authz": state}})
        order = client.order(NAME)
        tap.equal(client.respond(order).json()["status"], state,
                  f"challenge: {state}")
        tap.equal(client.post(order.headers["Location"], None).json()[
            "status"], state, "and the order with it")
    arm(client, {"on": "newOrder", "do": {"order": "ready", "token": "../x",
                                          "challenges": ["other-01"]}})
    order = client.order(NAME)
    authz = client.post(order.json()["authorizations"][0], None).json()
    tap.equal((order.json()["status"], authz["challenges"][0]["token"],
               authz["challenges"][0]["type"]), ("ready", "../x", "other-01"),
              "order: ready, token, challenges")
    arm(client, {"on": "finalize", "do": {"processing": 2}})
    order = client.order(NAME)
    client.respond(order)
    seen = [client.finalize(order, NAME)] + [
        client.post(order.headers["Location"], None) for _ in range(2)]
    tap.equal([answer.json()["status"] for answer in seen],
              ["processing", "processing", "valid"], "processing")
    arm(client, {"on": "finalize", "do": {"order": "invalid"}})
    order = client.order(NAME)
    client.respond(order)
    tap.equal(client.finalize(order, NAME).json()["status"], "invalid",
              "order: invalid")


def main() -> int:
    client = Client(int(sys.argv[1]), root)
    for step in (check_requests, check_orders, check_certificates,
                 check_refusals, check_delivery, check_documents,
                 check_protocol):
        step(client)
        arm(client)
    answer = client.request("PUT", "/control", b'[{"on": "x", "do": {"y": 1}}]')
    tap.equal(answer.status, 400, "an unknown rule is refused")
    print(f"1..{tap.count}")
    return int(tap.failed > 0)


if __name__ == "__main__":
    root = sys.argv[2]
    sys.exit(main())
