"""Misbehaviour on request.

The rules are a JSON list in a file, read again whenever it changes (or put to
/control).  Each says when and what:

    {"on": "newOrder", "nth": 1, "do": {"problem": {"type": "rateLimited"}}}

on      kind of request: directory newNonce newAccount account newOrder order
        authz challenge finalize certificate revokeCert keyChange, or "*"
nth     which of those since the rules were read: 1, [1, 3], "every" (the
        default); or "from": 2
name    only for orders with this identifier
do      what, any of:

Refusals; the request is not processed unless "process" is true
  problem    {"type": "rateLimited", "detail": .., "status": .., "subproblems":
             [..], "retry_after": ..}
  status     with headers and body, if given; below 400 it is processed
  redirect   URL, with status or 302
  badNonce   probability, from 0 to 1
  drop       "before": closed, unprocessed

Changes of an honest answer
  headers    {NAME: VALUE, a list of values, or null for none}
  body       text in place of the body; json likewise
  set        {"/pointer/to/member": VALUE}
  delete     ["/pointer"]
  pad        blanks until the body has this many bytes
  many_headers, long_header   this many of them, or this long

Its delivery
  drop       "after": processed, no answer; "half": half the body
  reset      true: the connection ends by RST
  stall, stall_body, trickle  seconds: before the answer, before its body,
             between any two bytes
  chunked, endless, close

The protocol
  authz      newOrder: "valid", "deactivated", "expired", "revoked", "invalid":
             the authorizations' status; "empty", "duplicate": their list;
             challenge: "pending", "invalid": what becomes of it
  order      newOrder: "ready", "invalid"; finalize, order: "invalid"
  processing finalize: this many polls before the order is valid
  challenges newOrder: only these types
  token      newOrder: the challenges' token
  certificate  certificate: a variant of issue.py

"{base}" in text becomes the CA's own https://HOST:PORT.
"""
from __future__ import annotations

import json
import os
from typing import Any

from httpd import Delivery, Reply

Action = dict[str, Any]

KEYS = {
    "problem", "status", "redirect", "badNonce", "drop", "process", "headers",
    "body", "json", "set", "delete", "pad", "many_headers", "long_header",
    "reset", "stall", "stall_body", "trickle", "chunked", "endless", "close",
    "authz", "order", "processing", "challenges", "token", "certificate",
}


class Rule:
    def __init__(self, rule: dict[str, Any]) -> None:
        unknown = set(rule) - {"on", "nth", "from", "name", "do"}
        unknown |= set(rule["do"]) - KEYS
        if unknown:
            raise ValueError("unknown in a rule: " + ", ".join(unknown))
        self.on: str = rule["on"]
        self.nth = rule.get("nth", "every")
        self.first: int = rule.get("from", 1)
        self.name: str | None = rule.get("name")
        self.do: Action = rule["do"]
        self.seen = 0

    def applies(self, kind: str, names: list[str]) -> bool:
        if self.on not in (kind, "*") or (self.name and
                                          self.name not in names):
            return False
        self.seen += 1
        if self.nth == "every":
            return self.seen >= self.first
        nth = self.nth if isinstance(self.nth, list) else [self.nth]
        return self.seen in nth


class Rules:
    def __init__(self, path: str | None) -> None:
        self.path = path
        self.version: tuple[int, int, int] | None = None
        self.rules: list[Rule] = []

    def arm(self, text: bytes) -> None:
        rules = [Rule(rule) for rule in json.loads(text or b"[]")]
        self.rules = rules

    def refresh(self) -> None:
        if not self.path:
            return
        try:
            stat = os.stat(self.path)
            version = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            if self.version:
                self.rules, self.version = [], None
            return
        if version != self.version:
            with open(self.path, "rb") as file:
                self.arm(file.read())
            self.version = version

    def action(self, kind: str, names: list[str]) -> Action:
        """What is to be done to this request, of all rules that apply."""
        self.refresh()
        do: Action = {}
        for rule in self.rules:
            if rule.applies(kind, names):
                do.update(rule.do)
        return do


def refused(do: Action) -> bool:
    """Whether the request is answered without being processed."""
    if "process" in do:
        return not do["process"]
    return ("problem" in do or "redirect" in do or do.get("drop") == "before"
            or do.get("status", 200) >= 400)


def expand(value: Any, base: str) -> Any:
    if isinstance(value, str):
        return value.replace("{base}", base)
    if isinstance(value, list):
        return [expand(item, base) for item in value]
    if isinstance(value, dict):
        return {key: expand(item, base) for key, item in value.items()}
    return value


def parent_of(document: Any, pointer: str) -> tuple[Any, Any]:
    """The container that a JSON pointer ends in, and the key in it."""
    *path, last = [part.replace("~1", "/").replace("~0", "~")
                   for part in pointer.split("/")[1:]]
    for part in path:
        document = document[int(part) if isinstance(document, list) else part]
    return document, int(last) if isinstance(document, list) else last


def change_document(body: bytes, do: Action) -> bytes:
    document = json.loads(body)
    for pointer, value in do.get("set", {}).items():
        container, key = parent_of(document, pointer)
        container[key] = value
    for pointer in do.get("delete", []):
        container, key = parent_of(document, pointer)
        del container[key]
    return json.dumps(document).encode()


def change_headers(reply: Reply, do: Action) -> None:
    changes = dict(do.get("headers", {}))
    if "redirect" in do:
        changes["Location"] = do["redirect"]
    if do.get("close"):
        changes["Connection"] = "close"
    gone = {name.lower() for name in changes}
    reply.headers = [pair for pair in reply.headers
                     if pair[0].lower() not in gone]
    for name, value in changes.items():
        values = value if isinstance(value, list) else [value]
        reply.headers += [(name, text) for text in values if text is not None]
    reply.headers += [(f"X-Filler-{number}", "x")
                      for number in range(do.get("many_headers", 0))]
    if "long_header" in do:
        reply.headers.append(("X-Filler", "x" * do["long_header"]))


def apply(reply: Reply, do: Action, base: str) -> None:
    """Changes an answer, and how it is delivered."""
    do = expand(do, base)
    if "redirect" in do:
        reply.status = 302
    reply.status = do.get("status", reply.status)
    if "json" in do:
        reply.body = json.dumps(do["json"]).encode()
    elif "body" in do:
        reply.body = do["body"].encode()
    elif "set" in do or "delete" in do:
        reply.body = change_document(reply.body, do)
    reply.body = reply.body.ljust(do.get("pad", 0))
    change_headers(reply, do)
    drop = {"before": "reply", "after": "reply"}
    reply.delivery = Delivery(
        drop=drop.get(do.get("drop", ""), do.get("drop", "")),
        reset=do.get("reset", False), stall=do.get("stall", 0),
        stall_body=do.get("stall_body", 0), trickle=do.get("trickle", 0),
        chunked=do.get("chunked", False), endless=do.get("endless", False))
