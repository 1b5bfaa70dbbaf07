/*
 * report_gates.c - the part of a report about experts: how much each domain
 * listens to each of them.
 */
#include "postgres.h"

#include <math.h>

#include "report.h"

/* An expert, and what the domains shown give it in all. */
typedef struct GateColumn
{
	int			expert;
	double		weight;
	int			domain_rank;	/* of its domain by rows */
} GateColumn;

/* Heaviest first. */
static int
CompareWeights(const void *a, const void *b)
{
	const GateColumn *left = a;
	const GateColumn *right = b;

	if (left->weight != right->weight)
		return left->weight > right->weight ? -1 : 1;
	return left->expert - right->expert;
}

/* In the order of the domains that they are of. */
static int
CompareDomains(const void *a, const void *b)
{
	const GateColumn *left = a;
	const GateColumn *right = b;

	if (left->domain_rank != right->domain_rank)
		return left->domain_rank - right->domain_rank;
	return left->expert - right->expert;
}

/* By its domain, with its number there where that has several. */
static const char *
ExpertName(const mml_model *model, int expert)
{
	const char *domain = mml_model_domain(model, mml_model_expert_domain(model, expert))->name;
	int			per_domain = mml_model_config(model)->experts_per_domain;

	return per_domain == 1 ? domain : psprintf("#%d %s", expert % per_domain + 1, domain);
}

/* The domains shown and how they weigh all experts. */
typedef struct GateRows
{
	int			domains[REPORT_CELLS];	/* indexes into mml_model_domain(), most rows first */
	int			n_domains;
	float	   *weights;		/* [n_domains, E], as is spreads */
	float	   *spreads;
} GateRows;

/* The domains with the most rows of those whose weights are known. */
static void
ReadWeights(const Report *report, GateRows *rows)
{
	Size		n_experts = report->facts.n_experts;

	rows->n_domains = 0;
	rows->weights = palloc0(REPORT_CELLS * n_experts * sizeof(float));
	rows->spreads = palloc0(REPORT_CELLS * n_experts * sizeof(float));
	for (int i = 0; i < mml_model_domains(report->model) && rows->n_domains < REPORT_CELLS; i++)
	{
		Size		first = rows->n_domains * n_experts;

		if (mml_model_gates(report->model, report->by_rows[i], rows->weights + first, rows->spreads + first))
			rows->domains[rows->n_domains++] = report->by_rows[i];
	}
}

/* All experts, those to show first and in their order. */
static GateColumn *
ChooseColumns(const Report *report, const GateRows *rows, int n_columns)
{
	int			n_experts = report->facts.n_experts;
	int			n_domains = mml_model_domains(report->model);
	GateColumn *columns = palloc0(n_experts * sizeof(GateColumn));
	int		   *ranks = palloc(n_domains * sizeof(int));

	for (int i = 0; i < n_domains; i++)
		ranks[report->by_rows[i]] = i;
	for (int e = 0; e < n_experts; e++)
	{
		columns[e].expert = e;
		columns[e].domain_rank = ranks[mml_model_expert_domain(report->model, e)];
		for (int row = 0; row < rows->n_domains; row++)
			columns[e].weight += rows->weights[(Size) row * n_experts + e];
	}
	qsort(columns, n_experts, sizeof(GateColumn), CompareWeights);
	qsort(columns, n_columns, sizeof(GateColumn), CompareDomains);
	return columns;
}

/* spreads: [n_rows, n_columns]; those above 0 are told. */
static void
PutTable(Report *report, const HeatChart *chart, const float *spreads)
{
	StringInfo	html = report->page.html;

	HtmlTableBegin(html, "Weight of each expert (columns) in each domain (rows)");
	HtmlColumn(html, "domain", false);
	for (int column = 0; column < chart->n_columns; column++)
	{
		appendStringInfoString(html, "<th scope=\"col\" class=\"n\">");
		HtmlName(html, chart->columns[column]);
		appendStringInfoString(html, "</th>");
	}
	HtmlRowsBegin(html);
	for (int row = 0; row < chart->n_rows; row++)
	{
		HtmlRowBegin(html);
		HtmlHeadCell(html, chart->rows[row]);
		for (int column = 0; column < chart->n_columns; column++)
		{
			int			cell = row * chart->n_columns + column;

			HtmlNumberCell(html, spreads[cell] > 0.0f ? psprintf("%.3f &#xB1; %.3f", chart->values[cell], spreads[cell]) :
						   HumanFigure(chart->values[cell], 3));
		}
		HtmlRowEnd(html);
	}
	HtmlTableEnd(html);
}

static void
DrawGates(Report *report, const GateRows *rows)
{
	int			n_rows = rows->n_domains;
	int			n_columns = Min(report->facts.n_experts, REPORT_CELLS);
	GateColumn *columns = ChooseColumns(report, rows, n_columns);
	const char **row_names = palloc(n_rows * sizeof(char *));
	const char **column_names = palloc(n_columns * sizeof(char *));
	float	   *values = palloc(n_rows * n_columns * sizeof(float));
	float	   *spreads = palloc(n_rows * n_columns * sizeof(float));
	bool	   *is_framed = palloc(n_rows * n_columns * sizeof(bool));
	HeatChart	chart = {
		.text = {"Weights of the experts", "A row for each domain, a column for each expert; the darker, the more weight."},
		.rows = row_names, .columns = column_names, .n_rows = n_rows, .n_columns = n_columns,
		.values = values, .is_framed = is_framed,
	};

	for (int column = 0; column < n_columns; column++)
		column_names[column] = ExpertName(report->model, columns[column].expert);
	for (int row = 0; row < n_rows; row++)
	{
		row_names[row] = mml_model_domain(report->model, rows->domains[row])->name;
		for (int column = 0; column < n_columns; column++)
		{
			int			expert = columns[column].expert;
			Size		weight = (Size) row * report->facts.n_experts + expert;

			values[row * n_columns + column] = rows->weights[weight];
			spreads[row * n_columns + column] = rows->spreads[weight];
			is_framed[row * n_columns + column] = mml_model_expert_domain(report->model, expert) == rows->domains[row];
		}
	}
	ReportFigureBegin(report);
	ChartHeat(&report->page, &chart);
	ReportFigureEnd(report);
	ReportLeftOut(report, "Domains with the most rows", n_rows, mml_model_domains(report->model));
	ReportLeftOut(report, "Experts with the most weight in them", n_columns, report->facts.n_experts);
	ReportNumbersBegin(report);
	PutTable(report, &chart, spreads);
	ReportNumbersEnd(report);
}

/* What the weights are, before the picture of them. */
static void
TellWeights(Report *report)
{
	bool		by_input = report->facts.served == MML_MODE_GATE && mml_model_config(report->model)->gate == MML_GATE_INPUT;

	appendStringInfo(report->page.html, "<p>The weight of each expert (columns) in each domain (rows), as the version is served: "
					 "0 to 1, all of a row together 1. A frame marks a domain's own experts.%s</p>\n",
					 by_input ? " The gate looks at each row: shown are means over the validation rows, in the table with "
					 "their standard deviation." : "");
}

void
ReportGates(Report *report)
{
	StringInfo	html = report->page.html;
	GateRows	rows;

	if (report->facts.n_experts == 0)
		return;
	ReportPartBegin(report, "gates", "Which experts a domain listens to", REPORT_HALF);
	ReadWeights(report, &rows);
	if (report->facts.served == MML_MODE_BACKBONE)
		appendStringInfo(html, "<p>To none: this version has %s experts, but it scores with the shared network alone, which "
						 "was at least as good on the validation rows, or was asked for.</p>\n",
						 HumanCount(report->facts.n_experts));
	else if (rows.n_domains == 0)
		appendStringInfoString(html, "<p>The gate of this version looks at each row, and it had no validation rows whose weights "
							   "could be told. moemlora_explain() shows those of a row.</p>\n");
	else
	{
		TellWeights(report);
		DrawGates(report, &rows);
	}
	ReportPartEnd(report);
}
