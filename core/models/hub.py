"""Model folders from the Hugging Face Hub: one question before any download, so that being offline is said at once.

Left to themselves, the libraries retry for half a minute without a network and then blame the repository.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import CoreError, MissingWeightsError, OfflineError
from core.models.model_folder import (
    OPEN_CLIP_CONFIG,
    OPEN_CLIP_WEIGHTS,
    PIPELINE_CONFIG,
    WEIGHTS,
    read_shards,
    weight_files,
)
from core.reports import OnProgress, silent

CONFIGS = (OPEN_CLIP_CONFIG, "config.json", "preprocessor_config.json", "processor_config.json")
_TOKENIZERS = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "spiece.model",
)  # fmt: skip
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_ANSWER_SECONDS = 5


def check_repository(repository: str) -> str:
    """Return `repository` if it looks like OWNER/NAME, so that no path or address is built from anything else."""
    if not _REPOSITORY.fullmatch(repository) or ".." in repository or len(repository) > 96:
        raise MissingWeightsError(
            f"{repository!r} is no name of a Hub repository.",
            "Write it as OWNER/NAME, for example facebook/dinov2-small.",
        )
    return repository


def cached_model(repository: str) -> Path | None:
    """The folder of a model that the local Hub cache holds completely, else None; never asks the network."""
    from huggingface_hub import constants

    # Most of what the catalogue names is not there, and to say so the rest of the library need not be imported.
    if not Path(constants.HF_HUB_CACHE, f"models--{check_repository(repository).replace('/', '--')}").is_dir():
        return None
    from huggingface_hub import try_to_load_from_cache

    for config in (PIPELINE_CONFIG, OPEN_CLIP_CONFIG, "config.json"):
        found = try_to_load_from_cache(repository, config)
        if isinstance(found, str):
            folder = Path(found).parent
            return folder if weight_files(folder) else None
    return None


def fetch_model(repository: str, on_progress: OnProgress = silent) -> Path:
    """Download configuration and weights of `repository` into the local Hub cache; return the folder.

    An exception out of `on_progress` stops the download; what was received is kept and continued next time.

    Raises:
        OfflineError: the Hub does not answer, or the machine is set to offline mode.
        MissingWeightsError: no such repository, no access to it, or no weights in it.
    """
    from huggingface_hub import HfApi, hf_hub_download

    on_progress(0.0, f"Asking the Hub for {check_repository(repository)}")
    try:
        info = HfApi().model_info(repository, files_metadata=True, timeout=_ANSWER_SECONDS)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        names, weights = _wanted(repository, sizes)
        shards = [name for name in sizes if weights.endswith(".json") and name.startswith(weights.split(".")[0] + "-")]
        total = sum(sizes[name] for name in {*names, *shards})
        received = 0
        folder = Path()
        while names:
            name = names.pop(0)
            bar = _progress_bar(repository, received, total, on_progress)
            path = Path(hf_hub_download(repository, name, etag_timeout=_ANSWER_SECONDS, tqdm_class=bar))
            folder = path.parents[name.count("/")]
            received += sizes.get(name, 0)
            if name == weights and path.suffix == ".json":
                names += read_shards(path)
    except CoreError:
        raise
    except Exception as error:
        explained = _explain(repository, error)
        if explained is None:
            raise
        # `from None`: what the HTTP client says below adds pages and no information.
        raise explained from None
    on_progress(1.0, f"{repository} is ready")
    return folder


def _wanted(repository: str, sizes: Mapping[str, int]) -> tuple[list[str], str]:
    """Which files of a repository to fetch, the weights last, and the name of the weights or of their index.

    Raises:
        MissingWeightsError: there is no model in it that we could open.
    """
    if PIPELINE_CONFIG in sizes:
        # The filter of what may be shown is not part of a classifier.
        names = [
            name
            for name in sizes
            if re.fullmatch(r"(tokenizer|scheduler|text_encoder|unet|vae)/[\w.-]+\.(json|txt|model|safetensors)", name)
            and ".non_ema." not in name
        ]
        # In half precision for a GPU, which computes in it; a CPU would have to widen it again.
        from core.device import pick_device

        halves = [name for name in names if ".fp16." in name]
        full = [name for name in names if name not in halves]
        unet = "unet/diffusion_pytorch_model.safetensors"
        if halves and (pick_device().type == "cuda" or unet not in full):
            replaced = {name.replace(".fp16.", ".") for name in halves}
            names = [*halves, *(name for name in full if name not in replaced)]
        else:
            names = full
        if not {unet, unet.replace(".safetensors", ".fp16.safetensors")} & set(names):
            raise MissingWeightsError(
                f"The repository {repository} holds no safetensors of a pipeline.", "Choose another repository."
            )
        return [PIPELINE_CONFIG, *sorted(names, key=lambda name: sizes[name])], ""
    names = [name for name in CONFIGS if name in sizes]
    of_clip = OPEN_CLIP_WEIGHTS if OPEN_CLIP_CONFIG in names else ()
    weights = next((name for name in (*of_clip, *WEIGHTS) if name in sizes), None)
    if weights is None or not {"config.json", OPEN_CLIP_CONFIG} & set(names):
        raise MissingWeightsError(
            f"The repository {repository} holds no config.json with safetensors or PyTorch weights.",
            "Choose a repository in transformers, timm, open_clip or diffusers format.",
        )
    return [*names, *(name for name in _TOKENIZERS if name in sizes), weights], weights


def _progress_bar(repository: str, received: int, total: int, report: OnProgress) -> Any:
    """A tqdm class that draws nothing and reports bytes instead."""
    from tqdm import tqdm

    class Reporter(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "file": io.StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            drawn = super().update(n)
            done = received + self.n
            text = f"Downloading {repository}: {done / 2**20:.0f} of {total / 2**20:.0f} MiB"
            report(min(1.0, done / total) if total else 0.0, text)
            return drawn

    return Reporter


def _explain(repository: str, error: Exception) -> CoreError | None:
    """The sentence for what went wrong on the Hub; None if this is a bug of ours."""
    from huggingface_hub import errors
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    if isinstance(error, errors.GatedRepoError):
        return MissingWeightsError(
            f"The repository {repository} is gated: its owner must grant access.",
            f"Accept the terms on https://huggingface.co/{repository}, then run: hf auth login",
        )
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return MissingWeightsError(
            f"The Hub has no public repository named {repository}.",
            "Check the spelling; for a private one run: hf auth login",
        )
    if isinstance(error, errors.OfflineModeIsEnabled):
        return OfflineError(
            f"{repository} is not on this machine, and HF_HUB_OFFLINE forbids downloads.",
            "Unset HF_HUB_OFFLINE, or choose a model that is ready.",
        )
    if isinstance(error, errors.HfHubHTTPError):
        status = getattr(error.response, "status_code", "an error")
        return OfflineError(f"The Hub answered {status} for {repository}.", "Try again later, or choose another model.")
    # LocalEntryNotFoundError is how hf_hub_download says that the connection broke between two files.
    if isinstance(error, httpx.TransportError | errors.LocalEntryNotFoundError | ConnectionError | TimeoutError):
        return OfflineError(
            f"{repository} is not on this machine, and huggingface.co does not answer.",
            "Connect to the internet, choose a model that is ready, or copy its folder here and open it as "
            "folder:PATH.",
        )
    return None
