"""Connections to one service: they are kept for the next request, and go through a proxy where one is set."""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import sys
import threading
from typing import Any, Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import SplitResult, unquote, urlsplit

from dsenv.agent.store.credentials import Place

_HUNG_UP = (ConnectionError, http.client.BadStatusLine, ssl.SSLError)


class Link(NamedTuple):
    """A connection, and what a proxy for http wants of each request: the whole address, and who asks."""

    connection: http.client.HTTPConnection
    before: str
    headers: Dict[str, str]


class Links:
    """May be used from several threads: each request takes a connection that rests, or makes one."""

    def __init__(self, place: Place, authorities: Optional[str], connecting: float, answering: float) -> None:
        """`authorities` is a file of certificates, None for the system's; times are in seconds."""
        self._lock = threading.Lock()
        self._resting: List[Link] = []
        self._context: Optional[ssl.SSLContext] = None
        self._place, self._authorities, self._proxy = place, authorities, _proxy(place)
        self._connecting, self._answering = connecting, answering

    def exchange(
        self, method: str, target: str, data: bytes, headers: Dict[str, str]
    ) -> Tuple[Link, http.client.HTTPResponse]:
        """Send a request and wait for the head of its answer. Raises OSError and HTTPException."""
        while True:
            with self._lock:
                rested = self._resting.pop() if self._resting else None
            link = rested or self._connect()
            try:
                link.connection.request(method, link.before + target, body=data, headers={**headers, **link.headers})
                return link, link.connection.getresponse()
            except BaseException as error:
                link.connection.close()
                # Services hang up on connections that rest: it does not say that they are away.
                if rested is None or not isinstance(error, _HUNG_UP):
                    raise

    def give_back(self, link: Link, response: http.client.HTTPResponse) -> None:
        """Keep a connection for the next request, unless its answer was not read to the end."""
        if response.isclosed() and not response.will_close and link.connection.sock is not None:
            with self._lock:
                self._resting.append(link)
        else:
            link.connection.close()

    def close(self) -> None:
        """End the connections that rest."""
        with self._lock:
            resting, self._resting = self._resting, []
        for link in resting:
            link.connection.close()

    def __del__(self) -> None:
        self.close()

    def _connect(self) -> Link:
        place, proxy = self._place, self._proxy
        host, port = (proxy.hostname or "", proxy.port or 80) if proxy else (place.host, place.port)
        who = _authorization(proxy) if proxy else {}
        if place.scheme == "https":
            context = self._tls()
            connection: Any = http.client.HTTPSConnection(host, port, timeout=self._connecting, context=context)
            if proxy:
                connection.set_tunnel(place.host, place.port, who)
            link = Link(connection, "", {})
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._connecting)
            link = Link(connection, "http://" + place.authority if proxy else "", who)
        connection.connect()
        connection.sock.settimeout(self._answering)
        return link

    def _tls(self) -> ssl.SSLContext:
        with self._lock:  # it reads all authorities: once is enough for all connections
            if self._context is None:
                self._context = ssl.create_default_context(cafile=self._authorities)
            return self._context


def _proxy(place: Place) -> Optional[SplitResult]:
    """The proxy that the environment, or the settings of macOS and Windows, name for a place."""
    if sys.platform not in ("darwin", "win32") and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    address = getproxies().get(place.scheme)
    if not address or proxy_bypass(place.authority):
        return None
    return urlsplit(address if "://" in address else "http://" + address)


def _authorization(proxy: SplitResult) -> Dict[str, str]:
    if not proxy.username:
        return {}
    word = "{}:{}".format(unquote(proxy.username), unquote(proxy.password or ""))
    return {"Proxy-Authorization": "Basic " + base64.b64encode(word.encode()).decode("ascii")}
