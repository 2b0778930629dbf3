#!/usr/bin/env bash
# Sets psigraph up; quick when nothing is left to do. `make` calls it.
#   setup.sh [dev] [benchmark] [slurm]   linters and type checker too; formats to compare with; a Slurm to test with
# Debian or Ubuntu: Psi4 from apt, the rest in .venv. Where conda or mamba is found: everything from envs/*.yaml.
# PSIGRAPH_SETUP=apt or =conda decides where both are there.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=test packages=(psi4 psi4-data python3-h5py libopenblas0-openmp python3-venv g++ python3-dev)
for word in "$@"; do
  case $word in
    dev | benchmark) extras+=,$word ;;
    slurm) packages+=(munge slurmctld slurmd slurm-client) ;;
    *) echo "setup.sh: unknown word '$word'; known: dev, benchmark, slurm" >&2; exit 2 ;;
  esac
done
conda=$(command -v mamba || command -v conda || true)
how=${PSIGRAPH_SETUP:-$([ -n "$conda" ] && echo conda || echo apt)}

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || {
    echo "setup.sh: no apt-get here. Install conda (https://conda-forge.org/download) and run make again." >&2; exit 1; }
  local sudo=()
  [ "$(id -u)" -eq 0 ] || sudo=(sudo)
  echo "setup.sh: installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# Whether a set-up with at least these extras ended after the named files were last changed.
is_ready() {
  local folder=$1 ready file
  shift
  for ready in "$folder"/.ready-"$extras"*; do
    for file in "$@"; do [ "$ready" -nt "$file" ] || continue 2; done
    return 0
  done
  return 1
}

python_environment() {
  is_ready .venv pyproject.toml envs/constraints.txt && return
  echo "setup.sh: Python packages into .venv (a few minutes)"
  [ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
  .venv/bin/pip install -q -c envs/constraints.txt torch
  .venv/bin/pip install -q -c envs/constraints.txt -e ".[$extras]"
  touch ".venv/.ready-$extras"
}

conda_environments() {
  is_ready .conda pyproject.toml envs/ml.yaml envs/psi4.yaml && return
  echo "setup.sh: conda environments into .conda (several minutes)"
  "$conda" env create -y -q -p .conda/psi4 -f envs/psi4.yaml
  "$conda" env create -y -q -p .conda/ml -f envs/ml.yaml
  .conda/ml/bin/pip install -q -c envs/constraints.txt -e ".[$extras]"
  touch ".conda/.ready-$extras"
}

# The kernels, for this processor; without a compiler the models run in plain torch, several times slower.
kernel() {
  local folder=$1 file sources=src/psigraph/models
  local ready="$folder/.ready-kernel-$(grep -m1 -E '^(flags|Features)' /proc/cpuinfo | cksum | cut -d' ' -f1)"
  for file in "$sources"/kernels/{build.py,pair_sum.cpp,edge_sum.cpp} "$sources"/equivariant.py; do
    [ "$ready" -nt "$file" ] || { "$folder/bin/python" -m psigraph.models.kernels && touch "$ready"; return; }
  done
}

case $how in
  apt) install_packages; python_environment; kernel .venv ;;
  conda) conda_environments; kernel .conda/ml ;;
  *) echo "setup.sh: PSIGRAPH_SETUP=$how; apt or conda" >&2; exit 2 ;;
esac
