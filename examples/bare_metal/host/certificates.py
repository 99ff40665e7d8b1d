"""Makes certificate chains: some like the service's, some that a board must refuse."""

from support import openssl

AUTHORITY = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
SERVER = "basicConstraints=critical,CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:dps.example\n"
RSA_2048, RSA_4096 = ("-newkey", "rsa:2048"), ("-newkey", "rsa:4096")
ECDSA = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


def root(folder, name, kind):
    openssl("req", "-x509", *kind, "-nodes", "-days", "7300", "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key",
            "-out", folder / f"{name}.pem", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
            "keyUsage=critical,keyCertSign,cRLSign")


def issue(folder, name, issuer, kind, extensions, digest="-sha256"):
    openssl("req", *kind, "-nodes", "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
    (folder / "extensions").write_text(extensions)
    openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{issuer}.pem", "-CAkey", folder / f"{issuer}.key",
            "-CAcreateserial", "-days", "300", digest, "-extfile", folder / "extensions", "-out", folder / f"{name}.pem")


def chain(folder, name, *issuers):
    (folder / f"{name}-chain.pem").write_text("".join((folder / f"{it}.pem").read_text() for it in (name, *issuers)))


def make(folder):
    """Makes these chains: `rsa-chain.pem` from `rsa-root.pem`; `ecdsa-chain.pem` from
    `ecdsa-root.pem`; `weak-chain.pem`, whose issuer has a short key; and `evil-chain.pem`, whose
    issuer is a leaf."""
    root(folder, "rsa-root", RSA_2048)
    issue(folder, "rsa-issuer", "rsa-root", RSA_4096, AUTHORITY, "-sha384")
    issue(folder, "rsa", "rsa-issuer", RSA_2048, SERVER, "-sha384")
    chain(folder, "rsa", "rsa-issuer")
    issue(folder, "weak-issuer", "rsa-root", ("-newkey", "rsa:1024"), AUTHORITY)
    issue(folder, "weak", "weak-issuer", RSA_2048, SERVER)
    chain(folder, "weak", "weak-issuer")
    root(folder, "ecdsa-root", ECDSA)
    issue(folder, "ecdsa", "ecdsa-root", ECDSA, SERVER)
    chain(folder, "ecdsa")
    issue(folder, "evil", "ecdsa", ECDSA, SERVER)
    chain(folder, "evil", "ecdsa")
