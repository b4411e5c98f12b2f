"""TLS on loopback with a test certificate authority."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme

ASKS, DEMANDS = ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED


@dataclass(frozen=True)
class Pair:
    """A client certificate and its key, each in a file."""

    certificate: Path
    key: Path

    @property
    def der(self) -> bytes:
        """The certificate as TLS shows it."""
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())


class Authority:
    """Issues certificates; its own, to be trusted, is in `file`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._root = trustme.CA()
        self.file = folder / "authority.pem"
        self._root.cert_pem.write_to_path(self.file)

    def pair(self, name: str = "bridge", until: datetime | None = None) -> Pair:
        """A client certificate, valid `until` a time (default: for long)."""
        leaf = self._root.issue_cert(f"{name}.example.com", not_after=until)
        made = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        leaf.cert_chain_pems[0].write_to_path(made.certificate)
        leaf.private_key_pem.write_to_path(made.key)
        return made

    def server(self, wants: ssl.VerifyMode = ASKS) -> ssl.SSLContext:
        """TLS of a server on this machine, which asks for a client certificate of this authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._root.issue_cert("127.0.0.1").configure_cert(context)
        self._root.configure_trust(context)
        context.verify_mode = wants
        return context


class Refusing:
    """A server that takes one connection, and tells by a TLS alert what it has against its certificate.
    (asyncio drops such a connection without the alert.) A context manager."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(10)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Refusing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listening.close()

    def _serve(self) -> None:
        raw, _ = self._listening.accept()
        raw.settimeout(10)
        with raw.dup() as beneath:
            with contextlib.suppress(ssl.SSLError):
                self._context.wrap_socket(raw, server_side=True).close()
            # What the caller has sent already is taken in first: closing over it would reset the connection,
            # and the alert would be lost.
            beneath.settimeout(10)
            with contextlib.suppress(OSError):
                beneath.shutdown(socket.SHUT_WR)
                while beneath.recv(65_536):
                    continue
