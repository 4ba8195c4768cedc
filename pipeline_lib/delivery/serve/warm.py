"""The model that answers, kept in memory; one that is promoted meanwhile is loaded beside it and takes its place."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.delivery.identify.model import Opened, open_registered, open_shipped
from pipeline_lib.delivery.registry.ask import ALLOWED, CHAMPION
from pipeline_lib.delivery.registry.promote import version_of
from pipeline_lib.delivery.serve.places import Places
from pipeline_lib.delivery.verifier.example import example_photographs
from pipeline_lib.tracking.store import (
    RegistryError,
    existing_store,
    is_store,
    open_client,
    registry_errors,
    shown_uri,
    tracking_uri,
)

CHECK_S = 2.0
log = logging.getLogger("face_verifier")


@dataclass(frozen=True)
class Loaded:
    """A verifier in memory, the URI of the version it is of (None: the package's own), and what is closed when it goes."""

    opened: Opened
    uri: str | None
    files: ExitStack


class Warm:
    """The model that a command line names, as the store has it now.

    Args:
        model, tracking: as of open_asked.
        prepare: what is done with a model before it answers, such as looking at a gallery.
    """

    def __init__(self, model: str | None, tracking: str | None, prepare: Callable[[Opened], None]) -> None:
        self._model, self._tracking, self._prepare = model, tracking, prepare
        self._clients: dict[str, Any] = {}
        self.trouble = ""
        self._loaded = self._load(self._asked_now())

    @property
    def opened(self) -> Opened:
        """The verifier that answers now."""
        return self._loaded.opened

    async def watch(self, places: Places) -> None:
        """Look again and again whether another version is to answer; never ends.

        What goes wrong is told once, in the log and by `trouble`; the model that there is goes on answering.
        """
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                new = await asyncio.to_thread(self._newer)
            except PipelineError as error:
                if str(error) != self.trouble:
                    log.warning("%s answers on; what is asked for cannot be loaded: %s", self.opened.name, error)
                self.trouble = str(error)
                continue
            self.trouble = ""
            if new is not None:
                await places.between(lambda new=new: self._swap(new))  # type: ignore[misc]

    def close(self) -> None:
        """Remove the model's files."""
        self._loaded.files.close()

    def _newer(self) -> Loaded | None:
        with registry_errors("The model cannot be loaded.", self._tracking or tracking_uri()):
            uri = self._asked_now()
            return None if uri == self._loaded.uri else self._load(uri)

    def _swap(self, new: Loaded) -> None:
        old, self._loaded = self._loaded, new
        old.files.close()
        log.info("%s answers now, in place of %s", new.opened.name, old.opened.name)

    def _asked_now(self) -> str | None:
        """The URI that names one version; None for the package's own verifier."""
        if self._model is None and self._tracking is None and not is_store(tracking_uri()):
            return None
        model = self._model or CHAMPION
        name, at, alias = model.removeprefix("models:/").rpartition("@")
        if not at or not model.startswith("models:/"):
            return model
        store = existing_store(self._tracking)
        client = self._clients.get(store) or open_client(store)
        self._clients[store] = client
        with registry_errors("The model cannot be found.", store):
            found = version_of(client, name, alias)
        if found is None:
            raise RegistryError("There is no such model.", got=model, allowed=ALLOWED, where=shown_uri(store))
        return f"models:/{name}/{found.version}"

    def _load(self, uri: str | None) -> Loaded:
        with ExitStack() as files:
            opened = files.enter_context(self._opening(uri))
            # What a first answer costs beside the later ones (imports, memory, threads) is paid here.
            opened.verifier.compare([example_photographs()], explain=True, draw=False)
            self._prepare(opened)
            return Loaded(opened, uri, files.pop_all())

    def _opening(self, uri: str | None) -> AbstractContextManager[Opened]:
        return nullcontext(open_shipped()) if uri is None else open_registered(uri, existing_store(self._tracking))
