"""The figure of saliency: ligands of a few test complexes, every atom coloured by what it adds to the prediction."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.image
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from rdkit import Chem
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from psigraph.evaluation import figures
from psigraph.evaluation.affinity.saliency import Explained

#: Purple below 0, orange above, told apart by colour-blind readers too; not so dark that letters vanish.
COLOURS = ListedColormap(matplotlib.colormaps["PuOr_r"](np.linspace(0.15, 0.85, 256)))
MOST_LETTERS = 32  # of an id
PIXELS = (640, 480)
RADIUS = 0.42  # of an atom's disc, in units of a bond's length


def plot_saliency(explained: Sequence[Explained], path: Path, title: str, unit: str) -> None:
    """Draw the ligands side by side with one colour scale for all, and predicted and measured labels above each."""
    largest = max(float(np.abs(item.saliency).max()) for item in explained) or 1.0
    scale = ScalarMappable(Normalize(-largest, largest), COLOURS)
    with figures.figure(path, 4.2 * len(explained) + 1.0, 4.2) as fig:
        panels = np.ravel(fig.subplots(1, len(explained), squeeze=False))
        for axes, item in zip(panels, explained, strict=True):
            axes.imshow(ligand_image(item.ligand, scale.to_rgba(item.saliency)[:, :3]))
            axes.set_axis_off()
            predicted, reference = (figures.significant(item.row[name]) for name in ("predicted", "reference"))
            name = str(item.row["id"])
            name = name if len(name) <= MOST_LETTERS else f"…{name[-MOST_LETTERS:]}"
            axes.set_title(f"{item.which} error: {name}\npredicted {predicted}, measured {reference}")
        label = "gradient × density of the atom" + ("" if unit == "1" else f" [{unit}]")
        fig.colorbar(scale, ax=list(panels), shrink=0.8).set_label(label)
        fig.suptitle(f"{title}: which atoms raise (above 0) and lower the prediction", x=0.01, ha="left", fontsize=12)


def ligand_image(ligand: Chem.Mol, colours: np.ndarray) -> np.ndarray:
    """Return a picture (height, width, 4) of a ligand's structure with atoms on discs of these colours (N, 3)."""
    flat = Chem.Mol(ligand)
    rdDepictor.Compute2DCoords(flat)
    drawing = rdMolDraw2D.MolDraw2DCairo(*PIXELS)
    options: Any = drawing.drawOptions()
    options.prepareMolsBeforeDrawing = False
    options.useBWAtomPalette()
    options.padding = 0.08
    atoms = range(flat.GetNumAtoms())
    drawing.DrawMolecule(
        flat,
        highlightAtoms=list(atoms),
        highlightAtomColors={atom: tuple(map(float, colours[atom])) for atom in atoms},
        highlightAtomRadii=dict.fromkeys(atoms, RADIUS),
        highlightBonds=[],
    )
    drawing.FinishDrawing()
    return matplotlib.image.imread(io.BytesIO(drawing.GetDrawingText()))
