"""Certificates of a house's own authority, made by openssl."""

import subprocess
from pathlib import Path


def certificate(folder: Path, name: str, authority: str | None = None, host: str = "") -> None:
    """A key and a certificate: of an authority, or signed by one, for a host name."""
    key, cert = folder / f"{name}.key", folder / f"{name}.crt"
    make = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-keyout", str(key), "-subj", f"/CN={name}", "-days", "30"]
    if authority is None:
        subprocess.run([*make, "-x509", "-out", str(cert)], check=True, capture_output=True)
        return
    request, more = folder / f"{name}.csr", folder / f"{name}.ext"
    subprocess.run([*make, "-out", str(request)], check=True, capture_output=True)
    more.write_text(f"subjectAltName={host}\n" if host else "basicConstraints=CA:FALSE\n")
    sign = ["openssl", "x509", "-req", "-in", str(request), "-out", str(cert), "-days", "30", "-extfile", str(more)]
    sign += ["-CA", str(folder / f"{authority}.crt"), "-CAkey", str(folder / f"{authority}.key"), "-CAcreateserial"]
    subprocess.run(sign, check=True, capture_output=True)
