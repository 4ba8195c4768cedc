"""Which model version answers as champion: the alias moves only on a fair comparison, or by hand."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import read_table
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.registry.floor import Lead
from pipeline_lib.matching.scores.shared.pairs import PairSet
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.tracking.store import RegistryError, import_mlflow, registry_errors

CHAMPION, CHALLENGER = "champion", "challenger"
SIDES = ("image_a", "image_b")
AUC_TAG, PAIRS_TAG = "val_auc", "val_pairs_sha256"
ABOUT_MODEL = (
    "Says of two photographs whether they show one person, how sure that is, and which parts of the faces say so. The version "
    "with alias `champion` answers `face-verifier verify`; `challenger` is the last one that was made. Each version's "
    "description is its card."
)
CALIBRATION_TAG, PACKAGE = "calibration", "package"


@dataclass(frozen=True)
class Merit:
    """A version's validation figure: area under the ROC of its score on the pairs of this digest."""

    auc: float
    pairs_sha256: str

    def tags(self) -> dict[str, str]:
        """As the registry keeps it; repr gives the float back exactly."""
        return {AUC_TAG: repr(self.auc), PAIRS_TAG: self.pairs_sha256}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "Merit | None":
        """Read it back; None where a version has no such tags, as one that was registered by hand."""
        if AUC_TAG not in tags or PAIRS_TAG not in tags:
            return None
        return cls(float(tags[AUC_TAG]), tags[PAIRS_TAG])


@dataclass(frozen=True)
class Registered:
    """A new version, its aliases, and why it has them."""

    name: str
    version: int
    aliases: tuple[str, ...]
    reason: str


def merit_of(figures: Mapping[str, Any], pairs: PairSet, manifest: Path) -> Merit:
    """AUC of a score on protocol val, and the digest of the pairs behind it.

    Digest = SHA-256 of the sorted list (photograph a, photograph b, genuine) of the val pairs that can be scored, each
    photograph by the SHA-256 of its file (a template by those of its photographs): other photographs, other pairs or other
    rejects make another digest; another network or alignment of the same ones does not.

    Args:
        figures: of the score on protocol val (data/verify/metrics.json).
        pairs: from read_pairs.
        manifest: ingest's table.

    Raises:
        DataError: a pair names a photograph that the manifest lacks.
    """
    photographs = read_table(manifest, MANIFEST).select(["image_id", "sha256"]).to_pydict()
    digests = dict(zip(photographs["image_id"], photographs["sha256"], strict=True))
    rows = pairs.table.filter(pc.equal(pairs.table["protocol"], VALIDATION)).to_pylist()
    named = [[*(_digest(row[side], pairs, digests, manifest) for side in SIDES), row["genuine"]] for row in rows]
    text = json.dumps(sorted(named, key=json.dumps))
    return Merit(float(figures["auc"]), hashlib.sha256(text.encode()).hexdigest())


def decide(challenger: Merit, champion: Merit | None, version: int) -> tuple[bool, str]:
    """Whether a new version replaces the champion's, and the sentence that says why (or what to do).

    It does if it is strictly better on the same pairs.
    """
    by_hand = _by_hand(version)
    if champion is None:
        return False, f"the champion has no validation figure to compare with. {by_hand}"
    if champion.pairs_sha256 != challenger.pairs_sha256:
        return False, (
            "the champion was judged on other validation pairs, so the figures are not comparable "
            f"(AUC {challenger.auc:.4f}, the champion's {champion.auc:.4f}). {by_hand}"
        )
    figures = f"AUC {challenger.auc:.4f} on the validation pairs, the champion's {champion.auc:.4f}"
    if challenger.auc > champion.auc:
        return True, f"better than the champion: {figures}"
    return False, f"not better than the champion: {figures}. {by_hand}"


def register_version(
    client: Any,
    name: str,
    model_uri: str,
    run_id: str,
    merit: Merit,
    lead: Lead,
    tags: Mapping[str, str],
    note: str = "",
    card: str = "",
) -> Registered:
    """Make a logged model a new version: alias challenger always, champion if it surely beats the floor and any champion.

    A champion that has the package's calibration, for want of pairs to choose and calibrate on, makes way for any version that
    surely beats the floor.

    Args:
        client: an MlflowClient.
        model_uri: from package.log_verifier.
        lead: over the floor; a network that is no better than pixels must not answer, even where no other does.
        tags: what else is kept with the version.
        note: why it has the package's calibration; empty where it has its own.
        card: its description (registry.card).
    """
    mlflow = import_mlflow()
    mlflow.set_tracking_uri(client.tracking_uri)  # register_model asks the process-wide setting, not the client
    of_package = {CALIBRATION_TAG: PACKAGE} if note else {}
    made = mlflow.register_model(model_uri, name, tags={**tags, **merit.tags(), **of_package, "run_id": run_id})
    version = int(made.version)
    if card:
        client.update_model_version(name, version, card)
    client.update_registered_model(name, ABOUT_MODEL)
    champion = version_of(client, name, CHAMPION)
    if not lead.is_sure:
        promoted, reason = False, f"{lead.words}. {_by_hand(version)}"
    elif champion is None:
        promoted, reason = True, f"there was no champion, and {lead.words}"
    elif champion.tags.get(CALIBRATION_TAG) == PACKAGE:
        promoted, reason = True, f"the champion had the package's calibration, and {lead.words}"
    else:
        promoted, reason = decide(merit, Merit.from_tags(champion.tags), version)
    client.set_registered_model_alias(name, CHALLENGER, version)
    if promoted:
        client.set_registered_model_alias(name, CHAMPION, version)
    client.set_model_version_tag(name, version, "decision", reason)
    return Registered(name, version, (CHAMPION, CHALLENGER) if promoted else (CHALLENGER,), reason)


def promote(client: Any, name: str, version: int) -> int | None:
    """Make `version` the champion, whatever its figures; returns the version it replaces.

    Raises:
        RegistryError: there is no such version, or the store takes no changes.
    """
    mlflow = import_mlflow()
    with registry_errors("The champion cannot be changed.", client.tracking_uri):
        try:
            client.get_model_version(name, str(version))
        except mlflow.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            found = [int(item.version) for item in client.search_model_versions(f"name = '{name}'")]
            raise RegistryError(
                "There is no such model version.",
                got=f"{name} {version}",
                allowed=sorted(found) or "none is registered",
            ) from None
        before = version_of(client, name, CHAMPION)
        client.set_registered_model_alias(name, CHAMPION, version)
        client.set_model_version_tag(name, version, "decision", "promoted by hand")
    return int(before.version) if before else None


def version_of(client: Any, name: str, alias: str) -> Any | None:
    """The version that carries `alias`, or None."""
    mlflow = import_mlflow()
    try:
        return client.get_model_version_by_alias(name, alias)
    except mlflow.MlflowException as error:
        # MLflow's stores answer a missing model with the one, a missing alias with the other
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _by_hand(version: int) -> str:
    return f"To promote it by hand: face-verifier promote {version}"


def _digest(face: str, pairs: PairSet, digests: Mapping[str, str], where: Path) -> str | list[str]:
    images = pairs.images([face])
    missing = [image for image in images if image not in digests]
    if missing:
        raise DataError("A pair names a photograph that the manifest lacks.", got=missing[0], where=where)
    return sorted(digests[image] for image in images) if face in pairs.templates else digests[face]
