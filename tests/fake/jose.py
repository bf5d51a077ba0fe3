"""JWS as ACME uses it (RFC 7515, RFC 7638, RFC 8555 section 6.2), strictly."""
from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import re
from typing import Any, Union

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    encode_dss_signature)

PublicKey = Union[ec.EllipticCurvePublicKey, rsa.RSAPublicKey,
                  ed25519.Ed25519PublicKey]

# crv: curve, octets of a coordinate, the algorithm that goes with it
CURVES: dict[str, tuple[ec.EllipticCurve, int, str]] = {
    "P-256": (ec.SECP256R1(), 32, "ES256"),
    "P-384": (ec.SECP384R1(), 48, "ES384"),
    "P-521": (ec.SECP521R1(), 66, "ES512"),
}
HASHES: dict[str, hashes.HashAlgorithm] = {
    "ES256": hashes.SHA256(), "ES384": hashes.SHA384(),
    "ES512": hashes.SHA512(), "RS256": hashes.SHA256(),
}
MEMBERS = {"EC": ["crv", "kty", "x", "y"], "RSA": ["e", "kty", "n"],
           "OKP": ["crv", "kty", "x"]}


class Malformed(Exception):
    """Not what the RFC says it must look like."""


class Unsupported(Exception):
    """An algorithm or a kind of key that this CA does not take."""


class Forged(Exception):
    """The signature is not that of the key."""


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: Any) -> bytes:
    if not isinstance(text, str) or not re.fullmatch("[A-Za-z0-9_-]*", text):
        raise Malformed("not base64url without padding")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise Malformed("base64url of impossible length") from None
    if b64(data) != text:
        raise Malformed("base64url with stray bits")
    return data


def parse_object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        raise Malformed("not JSON") from None
    if not isinstance(value, dict):
        raise Malformed("not a JSON object")
    return value


@dataclasses.dataclass
class Jwk:
    key: PublicKey
    alg: str
    thumbprint: str
    members: dict[str, str]

    @classmethod
    def parse(cls, jwk: Any) -> Jwk:
        if not isinstance(jwk, dict):
            raise Malformed("jwk is no object")
        if "d" in jwk:
            raise Malformed("jwk holds a private key")
        names = MEMBERS.get(jwk.get("kty", ""))
        if not names:
            raise Unsupported("kty %r" % jwk.get("kty"))
        members = {name: jwk.get(name, "") for name in names}
        try:
            key, alg = public_key(members)
        except ValueError as error:
            raise Malformed(f"jwk: {error}") from None
        text = json.dumps(members, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).digest()
        return cls(key, alg, b64(digest), members)

    def verify(self, alg: str, signed: bytes, signature: bytes) -> None:
        if alg != self.alg:
            raise Unsupported(f"alg {alg} for a key of {self.alg}")
        try:
            self.check(signed, signature)
        except InvalidSignature:
            raise Forged("the signature is wrong") from None

    def check(self, signed: bytes, signature: bytes) -> None:
        if isinstance(self.key, rsa.RSAPublicKey):
            self.key.verify(signature, signed, padding.PKCS1v15(),
                            HASHES[self.alg])
        elif isinstance(self.key, ed25519.Ed25519PublicKey):
            self.key.verify(signature, signed)
        else:
            half = CURVES[self.members["crv"]][1]
            if len(signature) != 2 * half:
                raise InvalidSignature
            der = encode_dss_signature(
                int.from_bytes(signature[:half], "big"),
                int.from_bytes(signature[half:], "big"))
            self.key.verify(der, signed, ec.ECDSA(HASHES[self.alg]))


def public_key(members: dict[str, str]) -> tuple[PublicKey, str]:
    if members["kty"] == "RSA":
        e, n = (int.from_bytes(unb64(members[name]), "big") for name in "en")
        if not 2048 <= n.bit_length() <= 4096:
            raise Unsupported(f"RSA with {n.bit_length()} bits")
        return rsa.RSAPublicNumbers(e, n).public_key(), "RS256"
    if members["kty"] == "OKP":
        if members["crv"] != "Ed25519":
            raise Unsupported("crv %r" % members["crv"])
        key = ed25519.Ed25519PublicKey.from_public_bytes(
            unb64(members["x"]))
        return key, "EdDSA"
    if members["crv"] not in CURVES:
        raise Unsupported("crv %r" % members["crv"])
    curve, width, alg = CURVES[members["crv"]]
    point = unb64(members["x"]), unb64(members["y"])
    if any(len(half) != width for half in point):
        raise Malformed("coordinate of the wrong length")
    x, y = (int.from_bytes(half, "big") for half in point)
    return ec.EllipticCurvePublicNumbers(x, y, curve).public_key(), alg


@dataclasses.dataclass
class Jws:
    protected: dict[str, Any]
    payload: bytes
    signature: bytes
    signed: bytes

    @classmethod
    def parse(cls, value: dict[str, Any]) -> Jws:
        """The flattened form, and no unprotected header."""
        if sorted(value) != ["payload", "protected", "signature"]:
            raise Malformed("not a flattened JWS: " + ", ".join(value))
        protected = parse_object(unb64(value["protected"]))
        signed = f"{value['protected']}.{value['payload']}".encode()
        return cls(protected, unb64(value["payload"]),
                   unb64(value["signature"]), signed)

    def text(self, name: str) -> str:
        value = self.protected.get(name)
        if not isinstance(value, str) or not value:
            raise Malformed(f"protected header: {name} is missing")
        return value

    def verify(self, jwk: Jwk) -> None:
        jwk.verify(self.text("alg"), self.signed, self.signature)

    def verify_mac(self, key: bytes) -> None:
        if self.text("alg") != "HS256":
            raise Unsupported("alg of the binding is not HS256")
        mac = hmac.digest(key, self.signed, "sha256")
        if not hmac.compare_digest(mac, self.signature):
            raise Forged("the binding's MAC is wrong")
