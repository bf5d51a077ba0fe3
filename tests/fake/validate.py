"""Validation as a CA does it, against fixed ports of this machine.

http-01: RFC 8555, 8.3; tls-alpn-01: RFC 8737; for addresses RFC 8738.
"""
from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import ssl

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

PATIENCE = 10
ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")


class Failed(Exception):
    """type is that of the problem the challenge ends with."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.type = kind


async def exchange(host: str, port: int, path: str) -> tuple[bytes, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n"
                     "User-Agent: fake-ca\r\nAccept: */*\r\n"
                     "Connection: close\r\n\r\n".encode())
        answer = b""
        while len(answer) < 65536:
            data = await reader.read(4096)
            if not data:
                break
            answer += data
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


async def http01(name: str, key_authorization: str, port: int) -> None:
    host = f"[{name}]" if ":" in name else name
    token = key_authorization.partition(".")[0]
    head, body = await exchange(host, port,
                                f"/.well-known/acme-challenge/{token}")
    status = head.split(b" ")[1:2]
    if status != [b"200"]:
        raise Failed("unauthorized", f"status {status} for the token")
    if body.rstrip(b" \t\r\n") != key_authorization.encode():
        raise Failed("unauthorized", f"the body is {body[:128]!r}")


def server_name(name: str) -> str:
    try:
        return ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        return name


def is_self_signed(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    signed = certificate.tbs_certificate_bytes
    algorithm = certificate.signature_hash_algorithm
    if certificate.issuer != certificate.subject or not algorithm:
        return False
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(certificate.signature, signed, padding.PKCS1v15(),
                       algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(certificate.signature, signed, ec.ECDSA(algorithm))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def check_certificate(der: bytes, name: str, key_authorization: str) -> None:
    certificate = x509.load_der_x509_certificate(der)
    if not is_self_signed(certificate):
        raise Failed("unauthorized", "the certificate is not self-signed")
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName).value
        proof = certificate.extensions.get_extension_for_oid(ACME_IDENTIFIER)
    except x509.ExtensionNotFound as error:
        raise Failed("unauthorized", str(error)) from None
    if [str(value.value).lower() for value in names] != [name]:
        raise Failed("unauthorized", f"the certificate is for {names}")
    digest = hashlib.sha256(key_authorization.encode()).digest()
    value = proof.value
    assert isinstance(value, x509.UnrecognizedExtension)
    if not proof.critical or value.value != b"\x04\x20" + digest:
        raise Failed("unauthorized", "acmeIdentifier is not as it must be")


async def alpn01(name: str, key_authorization: str, port: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["acme-tls/1"])
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=server_name(name))
    try:
        tls = writer.get_extra_info("ssl_object")
        chosen = tls.selected_alpn_protocol()
        der = tls.getpeercert(True)
    finally:
        writer.close()
    if chosen != "acme-tls/1":
        raise Failed("unauthorized", f"ALPN chose {chosen}")
    check_certificate(der, name, key_authorization)


METHODS = {"http-01": http01, "tls-alpn-01": alpn01}


async def validate(kind: str, name: str, key_authorization: str,
                   port: int) -> None:
    """Raises Failed."""
    try:
        await asyncio.wait_for(METHODS[kind](name, key_authorization, port),
                               PATIENCE)
    except ssl.SSLError as error:
        raise Failed("tls", str(error)) from None
    except (OSError, EOFError, asyncio.TimeoutError) as error:
        raise Failed("connection", str(error) or "timed out") from None
