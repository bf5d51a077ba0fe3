"""An ACME CA (RFC 8555) for tests: honest until rules.py is told otherwise.

It makes its own root and intermediate when it starts, checks what clients send
more strictly than most CAs do, really validates http-01 and tls-alpn-01 (on
ports of this machine, whatever the name), and writes one line of JSON for each
request into its log.  "ready PORT" on standard output says that it listens.
"""
from __future__ import annotations

import argparse
import asyncio
import collections
import dataclasses
import datetime
import ipaddress
import itertools
import json
import os
import random
import re
import secrets
import ssl
import sys
import tempfile
import time
import traceback
from typing import Any

from cryptography import x509

import issue
import jose
import rules
import validate
from httpd import Reply, Request, Server

Document = dict[str, Any]
ERROR = "urn:ietf:params:acme:error:"
LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DNS_NAME = re.compile(rf"({LABEL}\.)+(?![0-9]+$){LABEL}")
MAX_NAMES = 100

# Problems whose status is not 400 (RFC 8555, 6.7).
STATUS = {
    "unauthorized": 403, "rateLimited": 429, "serverInternal": 500,
    "orderNotReady": 403, "userActionRequired": 403,
    "externalAccountRequired": 403, "unsupportedMediaType": 415,
}


class Problem(Exception):
    """An ACME problem document (RFC 8555, 6.7)."""

    def __init__(self, kind: str, detail: str, status: int = 0,
                 **members: Any) -> None:
        super().__init__(detail)
        self.retry_after = members.pop("retry_after", None)
        self.status = status or STATUS.get(kind, 400)
        self.document = {"type": kind if ":" in kind else ERROR + kind,
                         "detail": detail, "status": self.status, **members}

    def reply(self) -> Reply:
        headers = [("Content-Type", "application/problem+json")]
        if self.retry_after is not None:
            headers.append(("Retry-After", str(self.retry_after)))
        return Reply(self.status, headers, json.dumps(self.document).encode())


# -- what the CA knows -----------------------------------------------------

def timestamp(seconds: float = 0) -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    then = now + datetime.timedelta(seconds=seconds)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclasses.dataclass
class Account:
    id: str
    jwk: jose.Jwk
    contact: list[str]
    status: str = "valid"


@dataclasses.dataclass
class Challenge:
    id: str
    type: str
    token: str
    authz: Authz
    status: str = "pending"
    validated: str = ""
    error: Document | None = None


@dataclasses.dataclass
class Authz:
    id: str
    account: Account
    identifier: dict[str, str]
    wildcard: bool
    challenges: list[Challenge] = dataclasses.field(default_factory=list)
    status: str = "pending"
    expires: str = ""
    orders: list[Order] = dataclasses.field(default_factory=list)

    def names(self) -> list[str]:
        return [self.identifier["value"]]

    def settle(self, status: str) -> None:
        self.status = status
        for order in self.orders:
            order.advance()


@dataclasses.dataclass
class Order:
    id: str
    account: Account
    identifiers: list[dict[str, str]]
    expires: str
    authzs: list[Authz] = dataclasses.field(default_factory=list)
    status: str = "pending"
    error: Document | None = None
    processing: int = 0
    csr: issue.Csr | None = None
    leaf: x509.Certificate | None = None

    def names(self) -> list[str]:
        return [identifier["value"] for identifier in self.identifiers]

    def advance(self) -> None:
        """The order follows its authorizations (RFC 8555, 7.1.6)."""
        if self.status != "pending":
            return
        states = {authz.status for authz in self.authzs}
        if states <= {"valid"}:
            self.status = "ready"
        elif states - {"valid", "pending"}:
            self.fail()

    def fail(self) -> None:
        self.status = "invalid"
        self.error = Problem("unauthorized", "validation failed").document


# -- who asks, and for what ------------------------------------------------

# Kind of request, its path, and the method it is asked by.
ROUTES = [
    ("directory", r"/directory", "GET"),
    ("newNonce", r"/nonce", "HEAD"),
    ("newAccount", r"/account", "POST"),
    ("newOrder", r"/order", "POST"),
    ("revokeCert", r"/revoke", "POST"),
    ("keyChange", r"/key", "POST"),
    ("account", r"/account/(\d+)", "POST"),
    ("order", r"/order/(\d+)", "POST"),
    ("finalize", r"/order/(\d+)/finalize", "POST"),
    ("authz", r"/authz/(\d+)", "POST"),
    ("challenge", r"/challenge/(\d+)", "POST"),
    ("certificate", r"/certificate/(\d+)", "POST"),
]
PATHS = [(kind, re.compile(path), method) for kind, path, method in ROUTES]


@dataclasses.dataclass
class Call:
    """A request on its way through the CA."""
    request: Request
    base: str
    kind: str = "unknown"
    method: str = ""
    id: str = ""
    names: list[str] = dataclasses.field(default_factory=list)
    do: rules.Action = dataclasses.field(default_factory=dict)
    account: Account | None = None
    jwk: jose.Jwk | None = None
    payload: bytes = b""

    def document(self) -> Document:
        return jose.parse_object(self.payload)

    def who(self) -> Account:
        assert self.account
        return self.account

    def url(self, *path: str) -> str:
        return "/".join((self.base,) + path)


def document_reply(document: Document, status: int = 200,
                   **headers: str) -> Reply:
    lines = [("Content-Type", "application/json")]
    lines += [(name.replace("_", "-"), value)
              for name, value in headers.items() if value]
    return Reply(status, lines, json.dumps(document).encode())


class Nonces:
    def __init__(self) -> None:
        self.good: collections.OrderedDict[str, None] = (
            collections.OrderedDict())

    def new(self) -> str:
        nonce = secrets.token_urlsafe(16)
        self.good[nonce] = None
        if len(self.good) > 100000:
            self.good.popitem(last=False)
        return nonce

    def use(self, nonce: str) -> bool:
        return self.good.pop(nonce, self) is None


class Ca:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.issuer = issue.Issuer(options.lifetime)
        self.rules = rules.Rules(options.rules)
        self.nonces = Nonces()
        self.serials = itertools.count(1)
        self.accounts: dict[str, Account] = {}
        self.by_thumbprint: dict[str, Account] = {}
        self.orders: dict[str, Order] = {}
        self.authzs: dict[str, Authz] = {}
        self.challenges: dict[str, Challenge] = {}
        self.revoked: set[int] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.log = open(options.log, "a", buffering=1) if options.log else None

    def new_id(self) -> str:
        return str(next(self.serials))

    # -- requests ----------------------------------------------------------

    async def answer(self, request: Request) -> Reply:
        began = time.monotonic()
        base = "https://" + request.headers.get("host", "127.0.0.1")
        call = Call(request, base)
        reply = self.reply_to(call)
        self.write_log(call, reply, time.monotonic() - began)
        return reply

    def reply_to(self, call: Call) -> Reply:
        try:
            if call.request.path == "/control":
                return self.control(call)
            self.route(call)
            call.do = self.rules.action(call.kind, call.names)
            if rules.refused(call.do):
                reply = self.refusal(call)
            else:
                reply = self.process(call)
        except Problem as problem:
            reply = problem.reply()
        except jose.Malformed as error:
            reply = Problem("malformed", str(error)).reply()
        except jose.Unsupported as error:
            reply = Problem("badSignatureAlgorithm", str(error), algorithms=[
                *jose.HASHES, "EdDSA"]).reply()
        except jose.Forged as error:
            reply = Problem("malformed", str(error)).reply()
        except Exception:
            traceback.print_exc()
            reply = Problem("serverInternal", "see the CA's stderr").reply()
        if call.kind == "newNonce" or call.request.method == "POST":
            reply.headers += [("Replay-Nonce", self.nonces.new()),
                              ("Cache-Control", "no-store")]
        if call.kind != "directory":
            reply.headers.append(
                ("Link", f'<{call.url("directory")}>;rel="index"'))
        if call.do:
            rules.apply(reply, call.do, call.base)
        return reply

    def route(self, call: Call) -> None:
        for kind, path, method in PATHS:
            match = path.fullmatch(call.request.path)
            if match:
                call.kind, call.method = kind, method
                call.id = match[1] if match.groups() else ""
                break
        call.names = self.names_of(call)

    def names_of(self, call: Call) -> list[str]:
        """The identifiers that a request is about, before it is believed."""
        if call.kind == "newOrder":
            try:
                body = json.loads(call.request.body)
                payload = json.loads(jose.unb64(body["payload"]))
                return [name["value"] for name in payload["identifiers"]]
            except (jose.Malformed, ValueError, KeyError, TypeError):
                return []
        if call.kind in ("order", "finalize", "certificate"):
            order = self.orders.get(call.id)
            return order.names() if order else []
        if call.kind == "authz":
            authz = self.authzs.get(call.id)
            return authz.names() if authz else []
        challenge = self.challenges.get(call.id)
        if call.kind == "challenge" and challenge:
            return challenge.authz.names()
        return []

    def refusal(self, call: Call) -> Reply:
        if "problem" in call.do:
            members: Document = {"detail": "as the rule says",
                                 **call.do["problem"]}
            raise Problem(members.pop("type"), members.pop("detail"),
                          members.pop("status", 0), **members)
        return Reply(call.do.get("status", 500), [("Content-Type",
                                                   "text/html")])

    def process(self, call: Call) -> Reply:
        request = call.request
        if not request.headers.get("user-agent"):
            raise Problem("malformed", "no User-Agent (RFC 8555, 6.1)")
        if call.kind == "unknown":
            raise Problem("malformed", "no such resource", 404)
        methods = {"HEAD": ("HEAD", "GET")}.get(call.method, (call.method,))
        if request.method not in methods:
            raise Problem("malformed", f"{request.method} not allowed", 405)
        if call.method == "POST":
            self.authenticate(call)
        handler = getattr(self, "on_" + call.kind)
        reply: Reply = handler(call)
        if "problem" in call.do:
            return self.refusal(call)
        return reply

    def authenticate(self, call: Call) -> None:
        """RFC 8555, 6.2 to 6.5."""
        request = call.request
        if request.headers.get("content-type") != "application/jose+json":
            raise Problem("unsupportedMediaType",
                          "Content-Type is not application/jose+json", 415)
        jws = jose.Jws.parse(jose.parse_object(request.body))
        by_key = "jwk" in jws.protected
        if by_key == ("kid" in jws.protected):
            raise Problem("malformed", "one of jwk and kid, not both")
        if by_key != (call.kind == "newAccount") and call.kind != "revokeCert":
            raise Problem("malformed", "jwk and kid: the wrong one of them")
        if by_key:
            call.jwk = jose.Jwk.parse(jws.protected["jwk"])
        else:
            call.account = self.account_of(call, jws.text("kid"))
            call.jwk = call.account.jwk
        jws.verify(call.jwk)
        if jws.text("url") != call.base + request.path:
            raise Problem("unauthorized", "url is not that of the request")
        fresh = self.nonces.use(jws.text("nonce"))
        if not fresh or random.random() < call.do.get("badNonce", 0):
            raise Problem("badNonce", "nonce is unknown or used")
        if call.account and call.account.status != "valid":
            raise Problem("unauthorized", "the account is deactivated", 401)
        call.payload = jws.payload

    def account_of(self, call: Call, kid: str) -> Account:
        prefix = call.url("account", "")
        account = self.accounts.get(kid[len(prefix):])
        if not kid.startswith(prefix) or not account:
            raise Problem("accountDoesNotExist", f"no account {kid}")
        return account

    def write_log(self, call: Call, reply: Reply, seconds: float) -> None:
        if not self.log or call.request.path == "/control":
            return
        self.log.write(json.dumps({
            "time": round(time.time(), 3),
            "connection": call.request.connection,
            "method": call.request.method, "kind": call.kind, "id": call.id,
            "account": call.account.id if call.account else None,
            "names": call.names, "status": reply.status,
            "problem": self.problem_of(reply),
            "ms": round(seconds * 1000, 1)}) + "\n")

    @staticmethod
    def problem_of(reply: Reply) -> str | None:
        if ("Content-Type", "application/problem+json") not in reply.headers:
            return None
        try:
            return str(json.loads(reply.body)["type"]).replace(ERROR, "")
        except (ValueError, KeyError, TypeError):
            return None

    def control(self, call: Call) -> Reply:
        """PUT takes rules, GET tells how many resources there are."""
        if call.request.method == "PUT":
            try:
                self.rules.arm(call.request.body)
            except (ValueError, KeyError, TypeError) as error:
                return Reply(400, [], f"{error}\n".encode())
            return Reply(204, [])
        return document_reply({
            "accounts": len(self.accounts), "orders": len(self.orders),
            "certificates": sum(order.leaf is not None
                                for order in self.orders.values())})

    # -- directory, nonces, accounts ---------------------------------------

    def on_directory(self, call: Call) -> Reply:
        meta: Document = {"website": "https://ca.example",
                          "caaIdentities": ["ca.example"]}
        if self.options.terms:
            meta["termsOfService"] = self.options.terms
        if self.options.eab:
            meta["externalAccountRequired"] = True
        directory: Document = {
            kind: call.base + path for kind, path, _ in ROUTES[1:6]}
        return document_reply({**directory, "meta": meta})

    def on_newNonce(self, call: Call) -> Reply:
        return Reply(200 if call.request.method == "HEAD" else 204, [])

    def account_reply(self, call: Call, account: Account,
                      status: int = 200) -> Reply:
        url = call.url("account", account.id)
        document: Document = {"status": account.status,
                              "contact": account.contact,
                              "orders": url + "/orders"}
        return document_reply(document, status, Location=url)

    @staticmethod
    def contact_of(payload: Document) -> list[str]:
        contact: list[str] = payload.get("contact", [])
        if not isinstance(contact, list):
            raise Problem("malformed", "contact is not a list")
        for url in contact:
            if not str(url).startswith("mailto:"):
                raise Problem("unsupportedContact", f"not mailto: {url!r}")
            if not re.fullmatch(r"mailto:[^@,?\s]+@([a-z0-9-]+\.)+[a-z]+",
                                url):
                raise Problem("invalidContact", f"not an address: {url!r}")
        return contact

    def on_newAccount(self, call: Call) -> Reply:
        assert call.jwk
        payload = call.document()
        account = self.by_thumbprint.get(call.jwk.thumbprint)
        if account and account.status != "valid":
            raise Problem("unauthorized", "the account is deactivated", 401)
        if account:
            call.account = account
            return self.account_reply(call, account)
        if payload.get("onlyReturnExisting"):
            raise Problem("accountDoesNotExist", "no account with this key")
        contact = self.contact_of(payload)
        agreed = payload.get("termsOfServiceAgreed") is True
        if self.options.terms and not agreed:
            raise Problem("userActionRequired", "the terms must be agreed to",
                          instance=self.options.terms)
        self.check_binding(call, payload.get("externalAccountBinding"))
        account = Account(self.new_id(), call.jwk, contact)
        self.accounts[account.id] = account
        self.by_thumbprint[call.jwk.thumbprint] = account
        call.account = account
        return self.account_reply(call, account, 201)

    def check_binding(self, call: Call, binding: Any) -> None:
        """RFC 8555, 7.3.4."""
        assert call.jwk
        if not self.options.eab:
            return
        if not isinstance(binding, dict):
            raise Problem("externalAccountRequired", "no binding")
        key_id, _, mac_key = self.options.eab.partition(":")
        jws = jose.Jws.parse(binding)
        if sorted(jws.protected) != ["alg", "kid", "url"]:
            raise Problem("malformed", "the binding's protected header")
        if jws.text("kid") != key_id:
            raise Problem("unauthorized", "unknown key id of the binding")
        jws.verify_mac(jose.unb64(mac_key))
        if jws.text("url") != call.base + call.request.path:
            raise Problem("malformed", "the binding's url")
        if json.loads(jws.payload) != call.jwk.members:
            raise Problem("malformed", "the binding is for another key")

    def on_account(self, call: Call) -> Reply:
        account = call.who()
        if call.id != account.id:
            raise Problem("unauthorized", "another's account")
        if call.payload:
            update = call.document()
            if "contact" in update:
                account.contact = self.contact_of(update)
            if update.get("status") == "deactivated":
                account.status = "deactivated"
        return self.account_reply(call, account)

    def on_keyChange(self, call: Call) -> Reply:
        """RFC 8555, 7.3.5."""
        account = call.who()
        jws = jose.Jws.parse(call.document())
        if sorted(jws.protected) != ["alg", "jwk", "url"]:
            raise Problem("malformed", "the inner protected header")
        new = jose.Jwk.parse(jws.protected["jwk"])
        jws.verify(new)
        change = jose.parse_object(jws.payload)
        if (jws.text("url") != call.base + call.request.path
                or change.get("account") != call.url("account", account.id)
                or change.get("oldKey") != account.jwk.members):
            raise Problem("malformed", "the inner url, account or oldKey")
        holder = self.by_thumbprint.get(new.thumbprint)
        if holder:
            reply = Problem("malformed", "the key has an account", 409).reply()
            reply.headers.append(("Location",
                                  call.url("account", holder.id)))
            return reply
        del self.by_thumbprint[account.jwk.thumbprint]
        self.by_thumbprint[new.thumbprint] = account
        account.jwk = new
        return self.account_reply(call, account)

    # -- orders ------------------------------------------------------------

    def owned(self, call: Call, resources: dict[str, Any]) -> Any:
        resource = resources.get(call.id)
        if not resource:
            raise Problem("malformed", f"no such {call.kind}", 404)
        if resource.account is not call.account:
            raise Problem("unauthorized", f"another's {call.kind}")
        return resource

    @staticmethod
    def nothing_sent(call: Call) -> None:
        """POST-as-GET (RFC 8555, 6.3)."""
        if call.payload:
            raise Problem("malformed", "POST-as-GET has an empty payload")

    def identifiers_of(self, payload: Document) -> list[dict[str, str]]:
        identifiers = payload.get("identifiers")
        if not isinstance(identifiers, list) or not identifiers:
            raise Problem("malformed", "no identifiers")
        if len(identifiers) > MAX_NAMES:
            raise Problem("malformed", f"more than {MAX_NAMES} names")
        for identifier in identifiers:
            self.check_identifier(identifier)
        if len({json.dumps(x) for x in identifiers}) != len(identifiers):
            raise Problem("malformed", "an identifier is there twice")
        return identifiers

    def check_identifier(self, identifier: Any) -> None:
        if (not isinstance(identifier, dict)
                or sorted(identifier) != ["type", "value"]
                or not isinstance(identifier["value"], str)):
            raise Problem("malformed", "an identifier is not one")
        kind, value = identifier["type"], identifier["value"]
        if kind == "ip":
            try:
                good = str(ipaddress.ip_address(value)) == value
            except ValueError:
                good = False
        elif kind == "dns":
            wildcard = value.startswith("*.") and self.options.always_valid
            name = value[2:] if wildcard else value
            good = len(value) < 254 and DNS_NAME.fullmatch(name) is not None
        else:
            raise Problem("unsupportedIdentifier", f"type {kind!r}",
                          identifier=identifier)
        if not good:
            raise Problem("rejectedIdentifier", f"not a name: {value!r}",
                          identifier=identifier)

    def order_document(self, call: Call, order: Order) -> Document:
        url = call.url("order", order.id)
        document: Document = {
            "status": order.status, "expires": order.expires,
            "identifiers": order.identifiers,
            "authorizations": [call.url("authz", authz.id)
                               for authz in order.authzs],
            "finalize": url + "/finalize"}
        if order.error:
            document["error"] = order.error
        if order.status == "valid":
            document["certificate"] = call.url("certificate", order.id)
        return document

    def order_reply(self, call: Call, order: Order,
                    status: int = 200) -> Reply:
        later = ""
        if order.status in ("pending", "processing"):
            later = self.options.retry_after
        return document_reply(self.order_document(call, order), status,
                              Location=call.url("order", order.id),
                              Retry_After=later)

    def new_authz(self, call: Call, identifier: dict[str, str]) -> Authz:
        value = identifier["value"]
        wildcard = value.startswith("*.")
        authz = Authz(self.new_id(), call.who(), {
            **identifier, "value": value[2:] if wildcard else value}, wildcard)
        kinds = ["http-01", "tls-alpn-01"]
        if wildcard:
            kinds = ["dns-01"]
        elif self.options.always_valid and identifier["type"] == "dns":
            kinds.append("dns-01")
        random.shuffle(kinds)
        for kind in call.do.get("challenges", kinds):
            token = call.do.get("token") or secrets.token_urlsafe(32)
            challenge = Challenge(self.new_id(), kind, token, authz)
            authz.challenges.append(challenge)
            self.challenges[challenge.id] = challenge
        authz.expires = timestamp(3600)
        self.authzs[authz.id] = authz
        return authz

    def on_newOrder(self, call: Call) -> Reply:
        payload = call.document()
        identifiers = self.identifiers_of(payload)
        if "notBefore" in payload or "notAfter" in payload:
            raise Problem("malformed", "notBefore and notAfter: not here")
        if "profile" in payload:
            raise Problem("invalidProfile", "there are no profiles")
        order = Order(self.new_id(), call.who(), identifiers, timestamp(3600))
        order.authzs = [self.new_authz(call, name) for name in identifiers]
        random.shuffle(order.authzs)
        for authz in order.authzs:
            authz.orders.append(order)
        self.orders[order.id] = order
        self.distort(call, order)
        return self.order_reply(call, order, 201)

    @staticmethod
    def distort(call: Call, order: Order) -> None:
        wanted = call.do.get("authz")
        if wanted == "empty":
            order.authzs = []
        elif wanted == "duplicate":
            order.authzs = order.authzs * 2
        elif wanted:
            for authz in order.authzs:
                authz.settle(wanted)
        if call.do.get("order") == "invalid":
            order.fail()
        elif call.do.get("order"):
            order.status = call.do["order"]

    def on_order(self, call: Call) -> Reply:
        self.nothing_sent(call)
        order: Order = self.owned(call, self.orders)
        if call.do.get("order") == "invalid":
            order.fail()
        if order.status == "processing":
            order.processing -= 1
            if order.processing <= 0:
                order.status = "valid"
        return self.order_reply(call, order)

    # -- authorizations ----------------------------------------------------

    def challenge_document(self, call: Call, challenge: Challenge) -> Document:
        document: Document = {
            "type": challenge.type, "status": challenge.status,
            "url": call.url("challenge", challenge.id),
            "token": challenge.token}
        if challenge.validated:
            document["validated"] = challenge.validated
        if challenge.error:
            document["error"] = challenge.error
        return document

    def on_authz(self, call: Call) -> Reply:
        authz: Authz = self.owned(call, self.authzs)
        if call.payload:
            if call.document() != {"status": "deactivated"}:
                raise Problem("malformed", "only deactivation is possible")
            authz.settle("deactivated")
        shown = authz.challenges
        if authz.status != "pending":
            shown = [challenge for challenge in shown
                     if challenge.status != "pending"] or shown
        document: Document = {
            "status": authz.status, "expires": authz.expires,
            "identifier": authz.identifier,
            "challenges": [self.challenge_document(call, challenge)
                           for challenge in shown]}
        if authz.wildcard:
            document["wildcard"] = True
        later = self.options.retry_after if authz.status == "pending" else ""
        return document_reply(document, Retry_After=later)

    def on_challenge(self, call: Call) -> Reply:
        challenge = self.challenges.get(call.id)
        if not challenge:
            raise Problem("malformed", "no such challenge", 404)
        authz = challenge.authz
        if authz.account is not call.account:
            raise Problem("unauthorized", "another's challenge")
        if call.payload:
            if call.document() != {}:
                raise Problem("malformed", "a response is {}")
            self.respond(call, challenge)
        reply = document_reply(self.challenge_document(call, challenge))
        reply.headers.append(
            ("Link", f'<{call.url("authz", authz.id)}>;rel="up"'))
        return reply

    def respond(self, call: Call, challenge: Challenge) -> None:
        if challenge.authz.status != "pending":
            raise Problem("malformed", "the authorization is not pending")
        if challenge.status != "pending":
            return
        wanted = call.do.get("authz")
        if wanted == "pending":
            return
        challenge.status = "processing"
        if wanted == "invalid":
            self.conclude(challenge, validate.Failed(
                "unauthorized", "as the rule says"))
        elif self.options.always_valid:
            self.conclude(challenge, None)
        else:
            task = asyncio.create_task(self.check(challenge))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def check(self, challenge: Challenge) -> None:
        authz = challenge.authz
        ports = {"http-01": self.options.http_port,
                 "tls-alpn-01": self.options.tls_port}
        failure = None
        try:
            await validate.validate(
                challenge.type, authz.identifier["value"],
                f"{challenge.token}.{authz.account.jwk.thumbprint}",
                ports[challenge.type])
        except validate.Failed as error:
            failure = error
        self.conclude(challenge, failure)

    @staticmethod
    def conclude(challenge: Challenge,
                 failure: validate.Failed | None) -> None:
        authz = challenge.authz
        if failure:
            challenge.status = "invalid"
            challenge.error = Problem(
                failure.type, f"{authz.names()[0]}: {failure}", 403).document
        else:
            challenge.status = "valid"
            challenge.validated = timestamp()
        if authz.status == "pending":
            authz.settle(challenge.status)

    # -- certificates ------------------------------------------------------

    def on_finalize(self, call: Call) -> Reply:
        order: Order = self.owned(call, self.orders)
        payload = call.document()
        if order.status != "ready":
            raise Problem("orderNotReady", f"the order is {order.status}")
        try:
            csr = issue.Csr(jose.unb64(payload.get("csr")))
        except issue.BadCsr as error:
            raise Problem("badCSR", str(error)) from None
        if set(csr.names) != set(order.names()):
            raise Problem("badCSR", f"it is for {csr.names}, the order for "
                          f"{order.names()}")
        if csr.spki() == issue.spki(order.account.jwk.key):
            raise Problem("badCSR", "its key is the account's")
        if csr.must_staple and self.options.no_must_staple:
            raise Problem("badCSR", "no must-staple from this CA")
        order.csr = csr
        order.leaf = self.issuer.issue(csr, order.names())
        order.processing = call.do.get("processing", 0)
        order.status = "processing" if order.processing else "valid"
        if call.do.get("order") == "invalid":
            order.fail()
        return self.order_reply(call, order)

    def on_certificate(self, call: Call) -> Reply:
        self.nothing_sent(call)
        order: Order = self.owned(call, self.orders)
        if order.status != "valid" or not order.leaf or not order.csr:
            raise Problem("malformed", "no such certificate", 404)
        chain = self.issuer.chain(order.leaf)
        if "certificate" in call.do:
            chain = self.issuer.variant(call.do["certificate"], order.csr,
                                        order.names(), order.leaf)
        return Reply(200, [("Content-Type",
                            "application/pem-certificate-chain")], chain)

    def on_revokeCert(self, call: Call) -> Reply:
        """RFC 8555, 7.6."""
        assert call.jwk
        payload = call.document()
        try:
            leaf = x509.load_der_x509_certificate(
                jose.unb64(payload.get("certificate")))
        except ValueError:
            raise Problem("malformed", "not a certificate") from None
        order = next((order for order in self.orders.values()
                      if order.leaf == leaf), None)
        if not order:
            raise Problem("malformed", "not a certificate of this CA", 404)
        allowed = (order.account is call.account if call.account else
                   issue.spki(call.jwk.key) == issue.spki(leaf.public_key()))
        if not allowed:
            raise Problem("unauthorized", "another's certificate")
        if payload.get("reason", 0) not in (0, 1, 3, 4, 5):
            raise Problem("badRevocationReason", "no such reason")
        if leaf.serial_number in self.revoked:
            raise Problem("alreadyRevoked", "it is revoked already")
        self.revoked.add(leaf.serial_number)
        return Reply(200, [])


# -- the program -----------------------------------------------------------

def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--http-port", type=int, default=80,
                        help="where http-01 is validated")
    parser.add_argument("--tls-port", type=int, default=443,
                        help="where tls-alpn-01 is validated")
    parser.add_argument("--root", metavar="FILE",
                        help="the root certificate is written there")
    parser.add_argument("--log", metavar="FILE")
    parser.add_argument("--rules", metavar="FILE", help=rules.__doc__)
    parser.add_argument("--always-valid", action="store_true",
                        help="validate nothing")
    parser.add_argument("--eab", metavar="KID:KEY",
                        help="accounts need this binding (key in base64url)")
    parser.add_argument("--lifetime", type=int, default=90 * 86400,
                        metavar="SECONDS", help="of certificates")
    parser.add_argument("--retry-after", default="", metavar="SECONDS",
                        help="with orders and authorizations to be polled")
    parser.add_argument("--no-must-staple", action="store_true")
    parser.add_argument("--no-terms", dest="terms", action="store_const",
                        const="", default="https://ca.example/terms")
    return parser.parse_args()


def tls_context(issuer: issue.Issuer) -> ssl.SSLContext:
    chain, key = issuer.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    with tempfile.NamedTemporaryFile() as file:
        file.write(chain + issue.pem_of(key))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def write_root(path: str, pem: bytes) -> None:
    with open(path + ".new", "wb") as file:
        file.write(pem)
    os.replace(path + ".new", path)


async def main() -> None:
    options = parse_options()
    ca = Ca(options)
    if options.root:
        write_root(options.root, ca.issuer.root.pem)
    server = await Server(ca.answer, tls_context(ca.issuer)).listen(
        options.port)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
