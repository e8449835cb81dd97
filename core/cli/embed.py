"""Features of many pictures, to a file, and searched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from core.errors import ConfigError


def embed(
    pictures: Annotated[
        str,
        typer.Argument(
            help="data:DATASET/SPLIT/COUNT/SEED, splits:DATASET/COUNT/SEED, conditions:DATASET/SPLIT/COUNT/SEED, "
            "views:VIEWS/SEED, or a folder of photos."
        ),
    ],
    model: Annotated[str, typer.Option(help="Of the catalogue, run:NAME, folder:PATH.")] = "cnn_small",
    layer: Annotated[str, typer.Option(help="pixels, early, middle, late, or a number; 0 is the pixels.")] = "late",
    pooling: Annotated[str, typer.Option(help="class_token, mean or embedding; what the model offers first.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write the vectors there: .csv, .npz or .parquet.")] = None,
    plane: Annotated[str, typer.Option(help="pca, tsne or umap: write places on a plane beside the vectors.")] = "",
    find: Annotated[str, typer.Option(help="Rank the pictures by a text; the model must know texts.")] = "",
    like: Annotated[str, typer.Option(help="Rank the pictures by another: example:NAME, or a file.")] = "",
    most: Annotated[int, typer.Option(min=1, help="How many of the ranking are printed.")] = 10,
    layers: Annotated[bool, typer.Option("--layers", help="Only say where the model can be cut, with shapes.")] = False,
) -> None:
    """Features of pictures at any layer of a model, written to a file, or searched by a text or a picture."""
    from core.cli.bars import with_bar
    from core.data.pictures import open_set
    from core.methods.embeddings.layer_features import Readout, extract_layers, find_readouts
    from core.models.weights import load

    kind = _format(out)
    loaded = load(model)
    module = loaded.module.eval()
    preprocessing = loaded.network.preprocessing
    known = find_readouts(module, preprocessing.size)
    if layers:
        for each in known.layers:
            shape = known.shape(Readout(layer=each.number, pooling=known.poolings[0]))
            typer.echo(f"{each.number:3}  {each.kind} {each.number} of {len(known.layers):<3} {shape:28} {each.path}")
        return
    cut = Readout(layer=_layer(layer, known), pooling=_pooling(pooling, known))
    images = with_bar(open_set(pictures))
    if images.vectors is not None:
        raise ConfigError(f"{pictures!r} holds vectors already.", "Name pictures.")
    features = with_bar(
        extract_layers(
            module,
            images.source(preprocessing.size),
            cuts=(cut,),
            known=known,
            model=model,
            size=preprocessing.size,
            normalisation=preprocessing.normalisation,
        )
    )[cut]
    shape = known.shape(cut, len(images))
    typer.echo(f"{loaded.spec.title}, {known.title(cut)}{f' ({shape})' if shape else ''}: {features.vectors.shape}")
    if images.note:
        typer.echo(images.note, err=True)
    if out is not None:
        _write(out, kind, images, features.vectors, plane)
    if find or like:
        _search(loaded, known, cut, images, features.vectors, find, like, most)


def _format(out: Path | None) -> Any:
    from core.data.vectors import FORMATS

    kind = "" if out is None else out.suffix.lower().removeprefix(".")
    if out is not None and kind not in FORMATS:
        raise ConfigError(f"{out} ends in none of .{', .'.join(FORMATS)}.", "Name one of them.")
    return kind


def _layer(text: str, known: Any) -> int:
    from core.methods.embeddings.layer_features import SHARES

    if text in SHARES:
        return int(known.at(text))
    if text.isascii() and text.isdecimal() and len(text) < 5 and int(text) <= len(known.layers):
        return int(text)
    raise ConfigError(
        f"There is no layer {text!r}.", f"Choose {', '.join(SHARES)}, or a number from 0 to {len(known.layers)}."
    )


def _pooling(text: str, known: Any) -> Any:
    if text and text not in known.poolings:
        raise ConfigError(f"The model cannot be pooled by {text!r}.", f"Choose one of: {', '.join(known.poolings)}.")
    return text or known.poolings[0]


def _write(out: Path, kind: Any, images: Any, vectors: Any, plane: str) -> None:
    """Everything that is known of the pictures, beside their vectors."""
    from core.data.vector_sets import vector_table
    from core.data.vectors import write_vectors
    from core.files import write_atomically
    from core.methods.embeddings.embedding import PlaneConfig, place_once

    placed = place_once(vectors, PlaneConfig(method=plane)) if plane else None  # type: ignore[arg-type]
    if placed is not None and placed.note:
        typer.echo(placed.note, err=True)
    table = vector_table(images, vectors, None if placed is None else placed.coordinates)
    write_atomically(out, write_vectors(table, kind))
    typer.echo(f"Written into {out}: {len(images):,} × {vectors.shape[1]:,}.")


def _search(loaded: Any, known: Any, cut: Any, images: Any, vectors: Any, find: str, like: str, most: int) -> None:
    """Print the ranking."""
    from core.data.pictures import open_picture
    from core.methods.embeddings.search import best, image_query, search, text_query

    preprocessing = loaded.network.preprocessing
    if find:
        loaded.spec.require("image_text", "Searching by text")
        if cut.pooling != "embedding":
            raise ConfigError("A text is compared with the embeddings alone.", "Add --pooling embedding.")
        query = text_query(loaded.module, find)
    else:
        query = image_query(
            loaded.module,
            open_picture(like),
            cut,
            known,
            size=preprocessing.size,
            normalisation=preprocessing.normalisation,
        )
    for rank, name, similarity in best(search(query, vectors), images.ids, most):
        row = images.ids.index(name)
        label = images.classes[images.labels[row]] if images.classes else ""
        typer.echo(f"{rank:3}  {similarity:6.3f}  {name}  {label}")
