"""Certificates for the peers that want one, by openssl."""

from ..laboratory import run


def self_signed(dir, name, common_name, address=None):
    """Makes `name`.crt and `name`.key."""
    alternative = f"DNS:{common_name}" + (f",IP:{address}" if address else "")
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", f"/CN={common_name}", "-addext",
        f"subjectAltName={alternative}", "-addext", "basicConstraints=critical,CA:false",
        "-addext", "extendedKeyUsage=serverAuth,clientAuth", "-addext",
        "keyUsage=digitalSignature", "-keyout", dir / f"{name}.key", "-out", dir / f"{name}.crt",
    )


def fingerprint(certificate):
    """SHA-256, in hexadecimal with colons."""
    return (
        run("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", certificate)
        .split("=")[1]
        .strip()
    )
