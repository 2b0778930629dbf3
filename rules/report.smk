"""Everything computed to one table and two pages.

In: features, metrics, comparisons, plots and the counts of every stage. Out: results/report/summary.csv and report.html,
and, where features were computed, features.html: their distributions, outliers, failures and times. Experiments of the
family regional stand on a leaderboard: leaderboard.csv, ablations.csv, and figures in results/plots/leaderboard; those of
the family affinity on another: leaderboard_affinity.csv, ablations_affinity.csv, results/plots/leaderboard_affinity.
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


for family, board in {"regional": "", "affinity": "_affinity"}.items():

    rule:
        name:
            f"leaderboard{board}"
        input:
            metrics=[file for name in experiments_of_family(family) for file in evaluations_of(name, "metrics.csv")],
            records=[
                f"results/models/{name}/{run}/{file}"
                for name in experiments_of_family(family)
                for run in runs(name)
                for file in (["training.json"] if family == "regional" else ["training.json", "history.csv"])
            ],
            comparisons=[f"results/evaluation/{name}/comparison.csv" for name in experiments_of_family(family)],
            script=script("leaderboard.py"),
            modules=modules(
                *(
                    f"evaluation/{family}/{name}"
                    for name in ("leaderboard", "leaderboard_figures", "published", "tables")
                ),
                *(f"evaluation/regional/{name}" for name in ("entries", "leaderboard")),
                *(f"evaluation/{name}" for name in ("report_tables", "tables", "figures", "panels")),
            ),
        output:
            table=report(
                ensure(f"results/report/leaderboard{board}.csv", non_empty=True),
                caption=f"../docs/captions/leaderboard{board}.rst",
                category="leaderboard",
            ),
            ablations=report(
                ensure(f"results/report/ablations{board}.csv", non_empty=True),
                caption=f"../docs/captions/ablations{board}.rst",
                category="leaderboard",
            ),
            plots=report(
                directory(f"results/plots/leaderboard{board}"),
                patterns=["{name}.png"],
                caption=f"../docs/captions/leaderboard{board}.rst",
                category="leaderboard",
                labels={"family": family, "plot": "{name}"},
            ),
        log:
            f"results/logs/leaderboard{board}.log",
        benchmark:
            f"results/benchmarks/leaderboard{board}.tsv"
        conda:
            "../envs/ml.yaml"
        threads: 1
        resources:
            gpu=0,
            mem_mb=1000,
            runtime=10,
        params:
            config=CONFIG.model_dump_json(),  # which experiments there are, and in what they differ
            family=family,
        shell:
            "python {input.script} --family {params.family} --results results --config-json {params.config:q}"
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
        leaderboard_affinity=rules.leaderboard_affinity.output if experiments_of_family("affinity") else [],
        features=rules.feature_report.output if all_quantum_files() or all_descriptor_files() else [],
        script=script("report.py"),
        modules=modules(
            *(f"evaluation/{name}" for name in ("report", "report_across", "report_data", "report_experiment")),
            *(f"evaluation/{name}" for name in ("report_provenance", "report_tables", "tables", "figures")),
            *(f"evaluation/regional/{name}" for name in ("report", "tables", "published")),
            *(f"evaluation/affinity/{name}" for name in ("report", "report_answers", "report_board", "report_parts")),
            *(f"evaluation/affinity/{name}" for name in ("comparison", "ensembles", "floors", "published", "tables")),
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
