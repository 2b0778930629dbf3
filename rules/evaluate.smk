"""Trained models to predictions, metrics beside their floors, and plots.

In: models, splits and shards. Out: results/evaluation/{experiment}/... (tables) and results/plots/{experiment}/... A plot
of an empty split is not drawn, so plots are declared as folders. Experiments of the family delta that share their
datasets are compared with each other: results/evaluation/experiments/delta.csv and results/plots/experiments/delta.
Those of the families regional and affinity stand on leaderboards: rules/report.smk.
"""


rule evaluate:
    input:
        shards=lambda wildcards: shards(CONFIG.experiments[wildcards.experiment].graphset),
        model=rules.train.output.model,
        history=rules.train.output.history,
        split=rules.train.output.split,
        script=script("evaluate.py"),
        modules=lambda wildcards: modules(
            *(f"evaluation/{name}" for name in ("run", "run_files", "inference", "tables", "run_figures", "figures")),
            *(
                f"evaluation/{family}/{name}"
                for family, names in (
                    ("regional", "run floors tables run_figures pretraining"),
                    ("affinity", "run floors tables run_figures rotation saliency saliency_figure"),
                )
                if wildcards.experiment in experiments_of_family(family)
                for name in names.split()
            ),
            "evaluation/panels",
            "training/checkpoint",
            "graphs",
            "metrics",
        ),
    output:
        predictions=ensure("results/evaluation/{experiment}/{architecture}/seed{seed}/predictions.csv", non_empty=True),
        metrics=ensure("results/evaluation/{experiment}/{architecture}/seed{seed}/metrics.csv", non_empty=True),
        plots=report(
            directory("results/plots/{experiment}/{architecture}/seed{seed}"),
            patterns=["{name}.png"],
            caption="../docs/captions/run.rst",
            category="{experiment}",
            labels={"architecture": "{architecture}", "seed": "{seed}", "plot": "{name}"},
        ),
    log:
        "results/logs/evaluate/{experiment}/{architecture}/seed{seed}.log",
    benchmark:
        "results/benchmarks/evaluate/{experiment}/{architecture}/seed{seed}.tsv"
    conda:
        "../envs/ml.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=4000,
        runtime=60,
    shell:
        "python {input.script} --experiment {wildcards.experiment} --architecture {wildcards.architecture}"
        " --seed {wildcards.seed} --model {input.model} --history {input.history} --split {input.split}"
        " --shards {input.shards} --predictions {output.predictions} --metrics {output.metrics}"
        " --plots {output.plots} 2> {log}"


rule compare:
    input:
        predictions=lambda wildcards: evaluations_of(wildcards.experiment, "predictions.csv"),
        metrics=lambda wildcards: evaluations_of(wildcards.experiment, "metrics.csv"),
        histories=lambda wildcards: [
            f"results/models/{wildcards.experiment}/{run}/history.csv" for run in runs(wildcards.experiment)
        ],
        script=script("compare.py"),
        modules=lambda wildcards: modules(
            *(f"evaluation/{name}" for name in ("experiment", "pooling", "bootstrap", "tables", "figures", "panels")),
            *(f"evaluation/{name}" for name in ("experiment_figures", "interaction_figure")),
            *(
                f"evaluation/{family}/{name}"
                for family, names in (
                    ("regional", "comparison comparison_figures tables floors run_figures"),
                    ("affinity", "comparison comparison_figures tables ensembles sums run_figures"),
                )
                if wildcards.experiment in experiments_of_family(family)
                for name in names.split()
            ),
            "metrics",
        ),
    output:
        table=report(
            ensure("results/evaluation/{experiment}/comparison.csv", non_empty=True),
            caption="../docs/captions/comparison.rst",
            category="{experiment}",
        ),
        plots=report(
            directory("results/plots/{experiment}/all"),
            patterns=["{name}.png"],
            caption="../docs/captions/experiment.rst",
            category="{experiment}",
            labels={"plot": "{name}"},
        ),
    log:
        "results/logs/compare/{experiment}.log",
    benchmark:
        "results/benchmarks/compare/{experiment}.tsv"
    conda:
        "../envs/ml.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=60,
    params:
        folds=lambda wildcards: CONFIG.experiments[wildcards.experiment].split.folds or 0,
    shell:
        "python {input.script} --experiment {wildcards.experiment} --folds {params.folds}"
        " --predictions {input.predictions} --histories {input.histories}"
        " --output {output.table} --plots {output.plots} 2> {log}"


rule compare_experiments:
    input:
        predictions=lambda wildcards: [
            file
            for experiment in experiments_of_family(wildcards.family)
            for file in evaluations_of(experiment, "predictions.csv")
        ],
        metrics=lambda wildcards: [
            file
            for experiment in experiments_of_family(wildcards.family)
            for file in evaluations_of(experiment, "metrics.csv")
        ],
        script=script("compare_experiments.py"),
        modules=modules(
            *(
                f"evaluation/{name}"
                for name in ("across", "across_figure", "bootstrap", "figures", "pooling", "tables")
            ),
            "metrics",
        ),
    output:
        table=report(
            ensure("results/evaluation/experiments/{family}.csv", non_empty=True),
            caption="../docs/captions/experiments.rst",
            category="experiments side by side",
        ),
        plots=report(
            directory("results/plots/experiments/{family}"),
            patterns=["{name}.png"],
            caption="../docs/captions/experiments.rst",
            category="experiments side by side",
            labels={"family": "{family}", "datasets": "{name}"},
        ),
    log:
        "results/logs/compare_experiments/{family}.log",
    benchmark:
        "results/benchmarks/compare_experiments/{family}.tsv"
    conda:
        "../envs/ml.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=60,
    params:
        baselines=lambda wildcards: [
            f"{name}={' at '.join(filter(None, [graphset.v0, graphset.level]))}"
            for name in experiments_of_family(wildcards.family)
            for graphset in [CONFIG.graphsets[CONFIG.experiments[name].graphset]]
        ],
    shell:
        "python {input.script} --baselines {params.baselines:q} --predictions {input.predictions}"
        " --output {output.table} --plots {output.plots} 2> {log}"
