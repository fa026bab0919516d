"""A browser that is driven as a person drives it: keys, clicks, the width of the window. The W3C WebDriver protocol, over plain HTTP."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

TAB, ENTER, SHIFT, HOME, RIGHT = "\ue004", "\ue007", "\ue008", "\ue011", "\ue014"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
# No page but our own: nothing resolves, the proxy leads nowhere.
ALONE = ("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost", "--disable-background-networking", "--disable-sync")


class Browser:
    """A headless Chromium under chromedriver; a context manager that ends both."""

    def __init__(self, driver: str, chromium: str, profile: Path, width: int, height: int = 900) -> None:
        self.process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        line = next(line for line in self.process.stdout if "started successfully on port" in line)
        port = re.search(r"port (\d+)", line)[1]  # type: ignore[index]
        self.base = f"http://127.0.0.1:{port}"
        arguments = [
            "--headless",
            "--no-sandbox",
            "--use-angle=swiftshader",
            "--enable-unsafe-swiftshader",
            "--disable-dev-shm-usage",
            "--no-first-run",
            *ALONE,
        ]
        arguments.append("--force-prefers-reduced-motion")  # scrolling is over at once
        options = {"binary": chromium, "args": [*arguments, f"--user-data-dir={profile}", f"--window-size={width},{height}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = ""
        try:
            self.session = "/session/" + self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            self.ask("POST", "/window/rect", {"width": width, "height": height})
        except BaseException:
            self.__exit__()
            raise

    def ask(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(
            self.base + self.session + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, page: Path) -> None:
        """Load a page from disk and wait until its plots are drawn."""
        self.ask("POST", "/url", {"url": page.as_uri()})
        self.until("return document.documentElement.dataset.drawn === String(document.querySelectorAll('.plot').length)")

    def until(self, script: str) -> None:
        """Wait until this is true."""
        end = time.monotonic() + 120
        while not self.run(script):
            assert time.monotonic() < end, f"this did not come true: {script}"
            time.sleep(0.05)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def press(self, *keys: str) -> None:
        """Keys one after the other; of several in one string the first are held."""
        actions = []
        for combination in keys:
            actions += [{"type": "keyDown", "value": key} for key in combination]
            actions += [{"type": "keyUp", "value": key} for key in reversed(combination)]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def focused(self) -> str:
        """What has the focus: its text, or its label."""
        return self.run("const e = document.activeElement; return (e.getAttribute('aria-label') || e.textContent).trim()")

    def click(self, css: str) -> None:
        found = self.ask("POST", "/element", {"using": "css selector", "value": css})
        self.ask("POST", f"/element/{found[ELEMENT]}/click", {})

    def complaints(self) -> list[str]:
        """What the console said since it was asked last."""
        return [entry["message"] for entry in self.ask("POST", "/se/log", {"type": "browser"})]

    def pdf(self) -> bytes:
        """A4, in inches as the browser's own protocol has it: chromedriver's `print` gives a page ten seconds, whatever the load."""
        asked = {"cmd": "Page.printToPDF", "params": {"paperWidth": 21.0 / 2.54, "paperHeight": 29.7 / 2.54}}
        return base64.b64decode(self.ask("POST", "/goog/cdp/execute", asked)["data"])

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.session:
            with contextlib.suppress(AssertionError, OSError):
                self.ask("DELETE", "")
        self.process.terminate()
        self.process.wait(20)
