"""Everything computed to one table and two pages.

In: features, metrics, comparisons, plots and the counts of every stage. Out: results/report/summary.csv and report.html,
and, where features were computed, features.html: their distributions, outliers, failures and times. Experiments of the
family regional stand on a leaderboard: leaderboard.csv, ablations.csv, and figures in results/plots/leaderboard.
"""


rule feature_report:
    input:
        structures=[f"results/structures/{name}.h5" for name in used_datasets()],
        quantum=all_quantum_files(),
        descriptors=all_descriptor_files(),
        shieldings=all_shielding_files(),
        script=script("feature_report.py"),
        modules=modules(
            *(f"evaluation/feature_{name}" for name in ("page", "series", "outliers", "figures")),
            *(f"evaluation/{name}" for name in ("report_data", "report_tables", "figures")),
            "quantum/table",
        ),
        templates=[HERE / f"src/psigraph/evaluation/{name}.html.j2" for name in ("features", "macros", "style")],
    output:
        ensure("results/report/features.html", non_empty=True),
    log:
        "results/logs/feature_report.log",
    benchmark:
        "results/benchmarks/feature_report.tsv"
    conda:
        "../envs/ml.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=4000,
        runtime=60,
    shell:
        "python {input.script} --structures {input.structures} --quantum {input.quantum}"
        " --descriptors {input.descriptors} --shieldings {input.shieldings} --output {output} 2> {log}"


rule leaderboard:
    input:
        metrics=[file for name in experiments_of_family("regional") for file in evaluations_of(name, "metrics.csv")],
        records=[
            f"results/models/{name}/{run}/training.json"
            for name in experiments_of_family("regional")
            for run in runs(name)
        ],
        comparisons=[f"results/evaluation/{name}/comparison.csv" for name in experiments_of_family("regional")],
        script=script("leaderboard.py"),
        modules=modules(
            *(
                f"evaluation/regional/{name}"
                for name in ("leaderboard", "leaderboard_figures", "entries", "published")
            ),
            *(f"evaluation/regional/{name}" for name in ("panels", "tables")),
            *(f"evaluation/{name}" for name in ("report_tables", "tables", "figures")),
        ),
    output:
        table=report(
            ensure("results/report/leaderboard.csv", non_empty=True),
            caption="../docs/captions/leaderboard.rst",
            category="leaderboard",
        ),
        ablations=report(
            ensure("results/report/ablations.csv", non_empty=True),
            caption="../docs/captions/ablations.rst",
            category="leaderboard",
        ),
        plots=report(
            directory("results/plots/leaderboard"),
            patterns=["{name}.png"],
            caption="../docs/captions/leaderboard.rst",
            category="leaderboard",
            labels={"plot": "{name}"},
        ),
    log:
        "results/logs/leaderboard.log",
    benchmark:
        "results/benchmarks/leaderboard.tsv"
    conda:
        "../envs/ml.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=1000,
        runtime=10,
    params:
        config=CONFIG.model_dump_json(),  # which experiments there are, and in what they differ
    shell:
        "python {input.script} --results results --config-json {params.config:q}"
        " --output {output.table} --ablations {output.ablations} --plots {output.plots} 2> {log}"


rule html_report:
    input:
        structures=[f"results/structures/{name}.h5" for name in used_datasets()],
        rejected=[f"results/structures/{name}.rejected.csv" for name in used_datasets()],
        quantum=all_quantum_files(),
        shards=all_shards(),
        skipped=[shard.replace(".h5", ".skipped.csv") for shard in all_shards()],
        models=[model for name in CONFIG.experiments for model in models_of(name)],
        metrics=[file for name in CONFIG.experiments for file in evaluations_of(name, "metrics.csv")],
        comparisons=[f"results/evaluation/{name}/comparison.csv" for name in CONFIG.experiments],
        across="results/evaluation/experiments/delta.csv" if len(experiments_of_family("delta")) > 1 else [],
        leaderboard=rules.leaderboard.output if experiments_of_family("regional") else [],
        features=rules.feature_report.output if all_quantum_files() or all_descriptor_files() else [],
        script=script("report.py"),
        modules=modules(
            *(f"evaluation/{name}" for name in ("report", "report_across", "report_data", "report_experiment")),
            *(f"evaluation/{name}" for name in ("report_provenance", "report_tables", "tables", "figures")),
            *(f"evaluation/regional/{name}" for name in ("report", "tables", "published")),
        ),
        templates=[HERE / f"src/psigraph/evaluation/{name}.html.j2" for name in ("report", "macros", "style")],
    output:
        page=ensure("results/report/report.html", non_empty=True),
        summary=report(
            ensure("results/report/summary.csv", non_empty=True),
            caption="../docs/captions/summary.rst",
            category="summary",
        ),
    log:
        "results/logs/report.log",
    localrule: True
    conda:
        "../envs/ml.yaml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=1000,
        runtime=10,
    params:
        config=CONFIG.model_dump_json(),  # experiments in the order they are written in
    shell:
        "python {input.script} --results results --config-json {params.config:q}"
        " --output {output.page} --summary {output.summary} 2> {log}"
