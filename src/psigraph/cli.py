"""The command `psigraph`: predictions, what the quantum stage takes and has made, checks of configuration files."""

import argparse
import logging
import sys
from pathlib import Path

from psigraph import __version__
from psigraph.config import ConfigError, load_config

log = logging.getLogger("psigraph")

PREDICT_EXAMPLE = """\
examples:
  psigraph predict --checkpoint results/models/delta/delta_coupling/seed*/*.pt dimer.xyz
  psigraph predict --checkpoint results/models/molecules/pamnet/seed*/*.pt molecules.smi
  psigraph predict --checkpoint results/models/affinity/*/seed*/*.pt --protein protein.pdb ligands.sdf

The checkpoints say what is read. Family delta: an XYZ file holds both molecules. Its comment line may say charge=0,0
multiplicity=1,1 for A and B; the default is two neutral singlets. A and B are the two connected components, or the
atoms that --fragment-a names and the rest. Family regional: molecules from XYZ (comment line: charge=0
multiplicity=1), SDF or SMILES files; each line of a .smi file is a SMILES and, if you like, a name. Family affinity:
ligands from SDF or mol2 files, posed in the protein that --protein names, in its coordinates.
Give the checkpoints of several seeds: the prediction is their mean, and their spread is written beside it.
"""

ESTIMATE_EXAMPLE = """\
examples:
  psigraph quantum estimate --cores 8
  psigraph quantum estimate --configfile configs/s66by8.yaml --dataset s66by8 --level hf-def2svp

Run it where snakemake runs: it reads results/structures/DATASET.h5 and the store of Psi4 results. What is known
already is not counted. Times follow t = a x nbf^p per SCF, fitted to your own wall times as soon as 20 are known.
"""

INSPECT_EXAMPLE = """\
examples:
  psigraph quantum inspect results/quantum/small_dimers/hf-def2svp/0.h5
  psigraph quantum inspect results/quantum/small_dimers/hf-def2svp     # all its batches together
  psigraph quantum inspect results/quantum/store                       # what is known, whatever the dataset
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    main = argparse.ArgumentParser(
        prog="psigraph",
        description="psigraph beside its workflow: predict new structures, look at Psi4's part, check a configuration.",
        epilog="The workflow itself runs with snakemake: snakemake --cores 8 all",
    )
    main.add_argument("--version", action="version", version=f"psigraph {__version__}")
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_predict(commands)
    _add_quantum(commands)
    _add_config(commands)
    return main


def _add_predict(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    predict = commands.add_parser(
        "predict",
        help="predict new dimers, molecules or complexes with trained models",
        description="Predict V_ref = V_0 + ΔV of new dimers, properties of new molecules, or affinities of ligands to "
        "a protein, with trained models.",
        epilog=PREDICT_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    predict.add_argument(
        "input",
        type=Path,
        nargs="?",
        help="dimers: an .xyz file, a folder of them, or a raw folder with meta.xlsx or meta.csv; molecules: an .xyz, "
        ".sdf, .mol or .smi file, or a folder of them; ligands: an .sdf or .mol2 file, or a folder of them",
    )
    predict.add_argument(
        "--checkpoint", type=Path, nargs="+", required=True, help="final_model_*.pt of one or more runs"
    )
    predict.add_argument(
        "--output",
        type=Path,
        default=Path("predictions.csv"),
        help="CSV to write (default predictions.csv); rejected inputs go beside it",
    )
    predict.add_argument("--fragment-a", help="atoms of molecule A in XYZ files, counted from 1: 1-6,9")
    predict.add_argument(
        "--placement",
        choices=("stacked", "as_given"),
        default="as_given",
        help="raw folder: positions as in the PDB files (default), or monomers centred and stacked along z by R",
    )
    predict.add_argument("--unit", help="raw folder: unit of V0 and Vref where the column names do not say it")
    predict.add_argument("--protein", type=Path, help="ligands: the .pdb file of the protein they are posed in")
    predict.add_argument(
        "--prepare",
        choices=("as_is", "fix", "minimise"),
        default="fix",
        help="protein: as it is, with missing atoms added (default), or relaxed as well, by PDBFixer and OpenMM",
    )
    predict.add_argument(
        "--relax",
        choices=("mmff", "openmm", "none"),
        default="mmff",
        help="molecules from SMILES: how the conformer that RDKit draws is relaxed (default mmff)",
    )
    predict.add_argument(
        "--store", type=Path, help="folder that keeps Psi4 results for the next time; default: keep none"
    )
    predict.add_argument("--threads", type=int, default=1, help="Psi4 processes at the same time (default 1)")
    predict.add_argument("--time-limit", type=float, default=3600, help="longest time for one SCF [s] (default 3600)")
    predict.add_argument("--memory-mb", type=int, default=2000, help="memory of one Psi4 process [MB] (default 2000)")
    predict.set_defaults(run=run_predict)


def _add_quantum(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    quantum = commands.add_parser("quantum", help="estimate what Psi4's part takes, or see what it has made")
    actions = quantum.add_subparsers(dest="action", required=True, metavar="ACTION")
    estimate = actions.add_parser(
        "estimate",
        help="print structures, core-hours and disk before anything runs",
        description="Print structures, SCFs, core-hours and disk of the quantum stage before anything runs.",
        epilog=ESTIMATE_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    estimate.add_argument(
        "--configfile", type=Path, default=Path("config.yaml"), help="configuration (default config.yaml)"
    )
    estimate.add_argument("--dataset", help="only this dataset; default: all that a graphset takes through Psi4")
    estimate.add_argument("--level", help="only this level of theory; default: those of the graphsets")
    estimate.add_argument("--cores", type=int, default=1, help="batches that run at the same time (default 1)")
    estimate.set_defaults(run=run_estimate)
    inspect = actions.add_parser(
        "inspect",
        help="print what is in a quantum store",
        description="Print level, versions, features, counts, failures and slowest structures of quantum stores.",
        epilog=INSPECT_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inspect.add_argument(
        "file",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="batches (.h5), folders of them, or the store of Psi4 results",
    )
    inspect.set_defaults(run=run_inspect)


def _add_config(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    config = commands.add_parser("config", help="check a configuration file, or print the JSON schema of one")
    actions = config.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="check a file", epilog="example: psigraph config check config.yaml")
    check.add_argument("file", type=Path)
    check.set_defaults(run=run_check)
    schema = actions.add_parser("schema", help="print the JSON schema, for editors")
    schema.set_defaults(run=run_schema)


def run_predict(args: argparse.Namespace) -> None:
    from psigraph.prediction import Options, predict

    if args.threads < 1:
        raise ValueError(f"--threads must be at least 1, got {args.threads}")
    source, checkpoints = args.input, list(args.checkpoint)
    if source is None:  # in `--checkpoint a.pt b.pt dimer.xyz` argparse takes the input for a checkpoint
        source = checkpoints.pop()
    if not checkpoints or source.suffix == ".pt":
        raise ValueError("predict needs checkpoints and an input, for example: --checkpoint a.pt b.pt dimer.xyz")
    options = Options(
        fragment_a=args.fragment_a,
        placement=args.placement,
        unit=args.unit,
        protein=args.protein,
        prepare=args.prepare,
        relax=args.relax,
        store=args.store.absolute() if args.store else None,
        threads=args.threads,
        memory_mb=args.memory_mb,
        time_limit_s=args.time_limit,
    )
    predict(checkpoints, source, args.output, options)


def run_estimate(args: argparse.Namespace) -> None:
    from psigraph.quantum.estimate import estimate

    config = load_config(args.configfile)
    sys.stdout.write(estimate(config, dataset=args.dataset, level=args.level, cores=args.cores))


def run_inspect(args: argparse.Namespace) -> None:
    from psigraph.quantum.inspect import inspect

    sys.stdout.write(inspect(args.file))


def run_check(args: argparse.Namespace) -> None:
    config = load_config(args.file)
    runs = sum(len(e.architectures) * len(e.seeds) for e in config.experiments.values())
    log.info(
        "%s: valid; %d datasets, %d experiments, %d runs",
        args.file,
        len(config.datasets),
        len(config.experiments),
        runs,
    )


def run_schema(_args: argparse.Namespace) -> None:
    from psigraph.config_docs import schema

    sys.stdout.write(schema())


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code: 0, or 1 after an error message on standard error."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    args = parser().parse_args(arguments)
    try:
        args.run(args)
    except ConfigError as error:
        log.error("%s", error)
        return 1
    except (ValueError, OSError, RuntimeError) as error:
        log.error("error: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
