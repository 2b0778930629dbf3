"""Everything computed to one table and one page.

In: metrics, comparisons, plots and the counts of every stage. Out: results/report/summary.csv and report.html.
"""


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
        script=script("report.py"),
        modules=modules(
            *(f"evaluation/{name}" for name in ("report", "report_data", "report_experiment", "report_provenance")),
            *(f"evaluation/{name}" for name in ("report_tables", "tables", "figures")),
        ),
        template=HERE / "src/psigraph/evaluation/report.html.j2",
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
        config=as_json(CONFIG),
    shell:
        "python {input.script} --results results --config-json {params.config:q}"
        " --output {output.page} --summary {output.summary} 2> {log}"
