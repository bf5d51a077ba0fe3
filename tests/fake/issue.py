"""The CA's certificates: as asked for, and the ways of getting them wrong."""
from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable
from typing import Any, Union

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat)
from cryptography.x509.oid import (
    ExtendedKeyUsageOID, ExtensionOID, NameOID)

Key = ec.EllipticCurvePrivateKey
PublicKey = Union[ec.EllipticCurvePublicKey, rsa.RSAPublicKey]
Span = tuple[datetime.timedelta, datetime.timedelta]

DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)
SHA256 = hashes.SHA256()


class BadCsr(Exception):
    """Why the CA does not sign this."""


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def subject(common_name: str) -> x509.Name:
    if not common_name:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def usage(**wanted: bool) -> x509.KeyUsage:
    names = ["digital_signature", "content_commitment", "key_encipherment",
             "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
             "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in names})


def start(name: x509.Name, issuer: x509.Name, public: Any,
          span: Span) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (x509.CertificateBuilder().subject_name(name).issuer_name(issuer)
            .public_key(public).serial_number(x509.random_serial_number())
            .not_valid_before(now + span[0]).not_valid_after(now + span[1])
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public),
                           False))


class Authority:
    """A key, its certificate, and what it signs."""

    def __init__(self, name: str, issuer: Authority | None = None) -> None:
        self.key = new_key()
        self.name = subject(name)
        signer = issuer or self
        builder = start(self.name, signer.name, self.key.public_key(),
                        (-DAY, 3650 * DAY))
        builder = builder.add_extension(
            x509.BasicConstraints(True, 0 if issuer else None), True)
        builder = builder.add_extension(
            usage(digital_signature=True, key_cert_sign=True, crl_sign=True),
            True)
        self.certificate = signer.sign(builder)
        self.pem = self.certificate.public_bytes(Encoding.PEM)

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            self.key.public_key())
        return builder.add_extension(identifier, False).sign(self.key, SHA256)

    def leaf(self, public: PublicKey, names: list[str], span: Span,
             ca: bool = False, common_name: str = "",
             must_staple: bool = False) -> x509.Certificate:
        builder = start(subject(common_name), self.name, public, span)
        builder = builder.add_extension(x509.BasicConstraints(ca, None), True)
        builder = builder.add_extension(
            usage(digital_signature=True, key_cert_sign=ca), True)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        if names:
            san = x509.SubjectAlternativeName(
                [general_name(name) for name in names])
            builder = builder.add_extension(san, not common_name)
        if must_staple:
            builder = builder.add_extension(x509.TLSFeature(
                [x509.TLSFeatureType.status_request]), False)
        return self.sign(builder)


class Csr:
    """A certificate signing request that this CA signs, else BadCsr."""

    def __init__(self, der: bytes) -> None:
        try:
            csr = x509.load_der_x509_csr(der)
            extensions = csr.extensions
            public = csr.public_key()
            signed = csr.is_signature_valid
        except Exception as error:
            # cryptography raises whatever its parsers do
            raise BadCsr(f"not a CSR: {error}") from None
        if not signed:
            raise BadCsr("its signature is wrong")
        if isinstance(public, ec.EllipticCurvePublicKey):
            if public.curve.name not in ("secp256r1", "secp384r1"):
                raise BadCsr("curve " + public.curve.name)
        elif not (isinstance(public, rsa.RSAPublicKey)
                  and public.key_size in (2048, 3072, 4096)):
            raise BadCsr("neither P-256, P-384 nor RSA of 2048 to 4096 bits")
        self.public: PublicKey = public
        self.names = [str(attribute.value) for attribute in
                      csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        self.must_staple = False
        for extension in extensions:
            value = extension.value
            if isinstance(value, x509.SubjectAlternativeName):
                self.names += [str(name.value) for name in value]
            elif extension.oid == ExtensionOID.TLS_FEATURE:
                self.must_staple = True

    def spki(self) -> bytes:
        return spki(self.public)


def spki(public: Any) -> bytes:
    der: bytes = public.public_bytes(Encoding.DER,
                                     PublicFormat.SubjectPublicKeyInfo)
    return der


class Issuer:
    """The root, the intermediate below it, and one that nobody knows."""

    def __init__(self, lifetime: int) -> None:
        self.root = Authority("Fake root")
        self.intermediate = Authority("Fake intermediate", self.root)
        self.stranger = Authority("Stranger")
        self.span: Span = (-HOUR, datetime.timedelta(seconds=lifetime) - HOUR)

    def issue(self, csr: Csr, order: list[str], /,
              **changes: Any) -> x509.Certificate:
        wanted: dict[str, Any] = {"names": order, "span": self.span,
                                  "must_staple": csr.must_staple,
                                  "public": csr.public}
        wanted.update(changes)
        return self.intermediate.leaf(**wanted)

    def chain(self, leaf: x509.Certificate) -> bytes:
        return pem(leaf) + self.intermediate.pem

    def server(self) -> tuple[bytes, Key]:
        """For the CA's own TLS."""
        key = new_key()
        leaf = self.intermediate.leaf(key.public_key(), [
            "localhost", "127.0.0.1", "::1"], (-HOUR, 30 * DAY))
        return self.chain(leaf), key

    def variant(self, which: str, csr: Csr, names: list[str],
                leaf: x509.Certificate) -> bytes:
        """What a client is to refuse: leaf is right but for one thing."""
        return VARIANTS[which](self, csr, names, leaf)


def pem(leaf: x509.Certificate) -> bytes:
    return leaf.public_bytes(Encoding.PEM)


def pem_of(key: Any) -> bytes:
    text: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8,
                                    NoEncryption())
    return text


def reissued(**changes: Any) -> Variant:
    """Another certificate, with these changes or functions of the names."""
    def variant(issuer: Issuer, csr: Csr, names: list[str],
                _: x509.Certificate) -> bytes:
        values = {key: value(names) if callable(value) else value
                  for key, value in changes.items()}
        return issuer.chain(issuer.issue(csr, names, **values))
    return variant


def arranged(arrange: Callable[[bytes, bytes, Issuer], bytes]) -> Variant:
    """The right certificate among the wrong things."""
    def variant(issuer: Issuer, _: Csr, __: list[str],
                leaf: x509.Certificate) -> bytes:
        return arrange(pem(leaf), issuer.intermediate.pem, issuer)
    return variant


def unknown_issuer(issuer: Issuer, csr: Csr, names: list[str],
                   _: x509.Certificate) -> bytes:
    leaf = issuer.stranger.leaf(csr.public, names, issuer.span)
    return issuer.chain(leaf)


def der(_: Issuer, __: Csr, ___: list[str], leaf: x509.Certificate) -> bytes:
    return leaf.public_bytes(Encoding.DER)


Variant = Callable[[Issuer, Csr, list[str], x509.Certificate], bytes]
VARIANTS: dict[str, Variant] = {
    "other-key": reissued(public=lambda _: new_key().public_key()),
    "other-names": reissued(names=["other.example"]),
    "extra-name": reissued(names=lambda names: names + ["extra.example"]),
    "missing-name": reissued(names=lambda names: names[:-1],
                             common_name=lambda names: names[-1]),
    "cn-only": reissued(names=[], common_name=lambda names: names[0]),
    "expired": reissued(span=(-30 * DAY, -DAY)),
    "future": reissued(span=(2 * DAY, 30 * DAY)),
    "ca-leaf": reissued(ca=True),
    "must-staple": reissued(must_staple=True),
    "no-must-staple": reissued(must_staple=False),
    "unknown-issuer": unknown_issuer,
    "der": der,
    "key-appended": arranged(
        lambda leaf, ca, _: leaf + ca + pem_of(new_key())),
    "wrong-order": arranged(lambda leaf, ca, _: ca + leaf),
    "missing-intermediate": arranged(lambda leaf, ca, _: leaf),
    "duplicate-intermediate": arranged(lambda leaf, ca, _: leaf + ca + ca),
    "duplicate-leaf": arranged(lambda leaf, ca, _: leaf + leaf + ca),
    "root-included": arranged(
        lambda leaf, ca, issuer: leaf + ca + issuer.root.pem),
    "unrelated": arranged(
        lambda leaf, ca, issuer: leaf + ca + issuer.stranger.pem),
    "17-certificates": arranged(lambda leaf, ca, _: leaf + ca * 16),
    "text-between": arranged(
        lambda leaf, ca, _: b"subject=leaf\n" + leaf + b"issuer:\n" + ca),
    "crlf": arranged(lambda leaf, ca, _: (leaf + ca).replace(b"\n", b"\r\n")),
    "nul": arranged(lambda leaf, ca, _: leaf + b"\0" + ca),
    "cut": arranged(lambda leaf, ca, _: leaf + ca[:len(ca) // 2]),
    "only-intermediate": arranged(lambda leaf, ca, _: ca),
    "begin-lines": arranged(
        lambda leaf, ca, _: leaf + b"-----BEGIN CERTIFICATE-----\n" * 9000),
    "empty": arranged(lambda leaf, ca, _: b""),
}
