/*
 * sql_report.c - moemlora_report(): all there is to tell of a version, as one HTML
 * page that needs nothing else.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "report.h"

PG_FUNCTION_INFO_V1(moemlora_report);

/* Most training rows first. */
static int
CompareRows(const void *a, const void *b, void *model)
{
	int			left = *(const int *) a;
	int			right = *(const int *) b;
	int64		left_rows = mml_model_domain(model, left)->rows;
	int64		right_rows = mml_model_domain(model, right)->rows;

	if (left_rows != right_rows)
		return left_rows > right_rows ? -1 : 1;
	return left - right;
}

static int *
DomainsByRows(mml_model *model)
{
	int			n_domains = mml_model_domains(model);
	int		   *domains = palloc(Max(n_domains, 1) * sizeof(int));

	for (int i = 0; i < n_domains; i++)
		domains[i] = i;
	qsort_arg(domains, n_domains, sizeof(int), CompareRows, model);
	return domains;
}

/* Everything that is stored of the version. */
static void
Collect(Report *report, const char *given)
{
	Snapshot	snapshot = GetActiveSnapshot();
	mml_model  *model;

	report->name = ModelNameResolve(given, snapshot, &report->version);
	report->host = BridgeCreateHost(report->context, (Size) GucTrainingMemoryKb * 1024);
	model = ModelStoreLoad(report->host, &report->version, snapshot);
	report->model = model;
	mml_model_get_facts(model, &report->facts);
	report->by_rows = DomainsByRows(model);
	StoredSourceRead(&report->version, snapshot, &report->stored);
	ModelStoreHistory(report->name, &report->version, model, snapshot, &report->history);
	ReportEpochsRead(report, snapshot);
}

static void
Write(Report *report)
{
	ReportPageBegin(report);
	ReportHead(report);
	ReportDomains(report);
	ReportGates(report);
	if (report->rows.reason == NULL)
	{
		if (report->importance != NULL)
			ReportFeatures(report);
		ReportRoc(report);
		ReportCalibration(report);
	}
	ReportTraining(report);
	ReportCard(report);
	ReportPageEnd(report);
}

/* moemlora_report(model text, source text) */
Datum
moemlora_report(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora report", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Report		report = {.context = context};
	const char *source = PG_ARGISNULL(1) ? NULL : ArgumentText(fcinfo, 1, "source");
	text	   *page;

	report.page.html = makeStringInfo();
	Collect(&report, ArgumentText(fcinfo, 0, "model"));
	ReportRowsRead(&report, source);
	Write(&report);
	MemoryContextSwitchTo(caller);
	page = cstring_to_text_with_len(report.page.html->data, report.page.html->len);
	MemoryContextDelete(context);
	PG_RETURN_TEXT_P(page);
}
