"""As little of an ACME client as the fake CA can be tried with."""
from __future__ import annotations

import dataclasses
import http.client
import json
import ssl
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature)
from cryptography.hazmat.primitives.serialization import Encoding

import issue
import jose


@dataclasses.dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self) -> str:
        """The problem's type without its prefix, or ""."""
        if self.headers["Content-Type"] != "application/problem+json":
            return ""
        return str(self.json()["type"]).rpartition(":")[2]


def make_csr(key: issue.Key, names: list[str]) -> bytes:
    san = x509.SubjectAlternativeName(
        [issue.general_name(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder()
    csr = builder.subject_name(x509.Name([])).add_extension(san, False).sign(
        key, hashes.SHA256())
    return csr.public_bytes(Encoding.DER)


class Client:
    def __init__(self, port: int, root: str) -> None:
        self.base = f"https://127.0.0.1:{port}"
        self.port = port
        self.tls = ssl.create_default_context(cafile=root)
        self.connection = self.connect()
        self.key = issue.new_key()
        self.kid = ""
        self.nonce = ""
        self.leaf_key = issue.new_key()

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10,
                                           context=self.tls)

    def request(self, method: str, path: str, body: bytes | None = None,
                **headers: str) -> Answer:
        """Connects again after an exchange that did not end well."""
        wanted = {"User-Agent": "check", "Content-Type":
                  "application/jose+json", **headers}
        try:
            self.connection.request(method, path, body, {
                name: value for name, value in wanted.items() if value})
            got = self.connection.getresponse()
            answer = Answer(got.status, got.headers, got.read())
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = self.connect()
            raise
        self.nonce = answer.headers["Replay-Nonce"] or self.nonce
        return answer

    def jwk(self) -> dict[str, str]:
        numbers = self.key.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256",
                "x": jose.b64(numbers.x.to_bytes(32, "big")),
                "y": jose.b64(numbers.y.to_bytes(32, "big"))}

    def sign(self, path: str, payload: Any, **protected: Any) -> bytes:
        header: dict[str, Any] = {"alg": "ES256", "nonce": self.nonce,
                                  "url": self.base + path}
        if self.kid:
            header["kid"] = self.kid
        else:
            header["jwk"] = self.jwk()
        header.update(protected)
        parts = [jose.b64(json.dumps(header).encode()),
                 "" if payload is None else
                 jose.b64(json.dumps(payload).encode())]
        der = self.key.sign(".".join(parts).encode(), ec.ECDSA(
            hashes.SHA256()))
        r, s = decode_dss_signature(der)
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return json.dumps({"protected": parts[0], "payload": parts[1],
                           "signature": jose.b64(signature)}).encode()

    def post(self, resource: str, payload: Any, **protected: Any) -> Answer:
        path = resource.replace(self.base, "")
        if not self.nonce:
            self.request("HEAD", "/nonce")
        return self.request("POST", path, self.sign(path, payload,
                                                    **protected))

    def register(self, **members: Any) -> Answer:
        answer = self.post("/account", {"termsOfServiceAgreed": True,
                                        **members})
        if answer.status < 300:
            self.kid = answer.headers["Location"]
        return answer

    def order(self, *names: str) -> Answer:
        return self.post("/order", {"identifiers": [
            {"type": "dns", "value": name} for name in names]})

    def respond(self, order: Answer) -> Answer:
        """Answers a challenge of each authorization; gives the last answer."""
        answer = order
        for url in order.json()["authorizations"]:
            authz = self.post(url, None).json()
            answer = self.post(authz["challenges"][0]["url"], {})
        return answer

    def finalize(self, order: Answer, *names: str) -> Answer:
        csr = jose.b64(make_csr(self.leaf_key, list(names)))
        return self.post(order.json()["finalize"], {"csr": csr})

    def certificate(self, *names: str) -> Answer:
        """A whole order, when all goes well."""
        order = self.order(*names)
        self.respond(order)
        self.finalize(order, *names)
        done = self.post(order.headers["Location"], None).json()
        return self.post(done["certificate"], None)
