/*
 * report_card.c - head of a report, and the model card: what the version is, from
 * which data, by whom, when, and with which options.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "report.h"

#define RESERVED_IDS 2			/* of a categorical feature: unknown and NULL */

/* A moment to the second, with its zone. */
static const char *
Moment(TimestampTz when)
{
	return DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(
		when - when % USECS_PER_SEC)));
}

const char *
ReportModeName(mml_mode mode)
{
	static const char *const names[REPORT_MODES] = {
		[MML_MODE_BACKBONE] = "the shared network alone",
		[MML_MODE_OWN] = "each domain's own experts",
		[MML_MODE_GATE] = "all experts, as the gate weighs them",
	};

	return names[mode];
}

/* ----------------------------------------------------------------------- head */

static void
PutTile(Report *report, const char *figure, const char *caption)
{
	appendStringInfo(report->page.html, "<li><b>%s</b><span>%s</span></li>\n", figure, caption);
}

/* Whether the figures of the training's validation rows are fairer than those of the rows measured. */
static bool
HasFairer(const Report *report)
{
	const ReportRows *rows = &report->rows;

	return rows->reason != NULL || (rows->are_recorded && !rows->are_unseen && !isnan(report->facts.valid_auc));
}

static void
PutTiles(Report *report)
{
	const ReportRows *rows = &report->rows;
	bool		is_measured = !HasFairer(report);
	const char *on = is_measured ? rows->what : "validation rows";

	appendStringInfoString(report->page.html, "<ul class=\"tiles\">\n");
	PutTile(report, HumanFigure(is_measured ? rows->all.auc[report->facts.served] : report->facts.valid_auc, 4),
			psprintf("AUC, %s", on));
	PutTile(report, HumanFigure(is_measured ? rows->wauc[report->facts.served] : report->facts.valid_wauc, 4),
			psprintf("WAUC, %s", on));
	PutTile(report, HumanFigure(is_measured ? rows->all.logloss : report->facts.valid_logloss, 4),
			psprintf("logloss, %s", on));
	PutTile(report, HumanCount(report->facts.train_rows), "rows trained on");
	PutTile(report, HumanCount(mml_model_domains(report->model)), mml_model_domains(report->model) == 1 ? "domain" : "domains");
	PutTile(report, HumanCount(report->facts.n_experts), report->facts.n_experts == 1 ? "expert" : "experts");
	appendStringInfoString(report->page.html, "</ul>\n");
}

/* Which rows the pictures are of, and how much they prove. */
static void
TellRows(Report *report)
{
	StringInfo	html = report->page.html;
	const ReportRows *rows = &report->rows;

	if (rows->reason != NULL)
	{
		appendStringInfoString(html, "<p class=\"note\">");
		(void) HtmlClipped(html, rows->reason, REPORT_TEXT);
		appendStringInfoString(html, " So the figures are those that the training found on its validation rows, by which it chose "
							   "its best states, and pictures that need rows are missing.</p>\n");
	}
	else if (rows->are_unseen)
		appendStringInfo(html, "<p class=\"soft\">Measured on the %s test rows of the recorded source, which the training of this "
						 "version has not seen.</p>\n", HumanCount((int64) rows->all.rows));
	else if (rows->are_recorded)
		appendStringInfo(html, "<p class=\"note\">Measured on all %s rows of the recorded source. Rows that the model has seen are "
						 "among them, so the figures flatter it%s. Train with a split_column, or pass a source of other rows.</p>\n",
						 HumanCount((int64) rows->all.rows), HasFairer(report) ? ", but for those above" : "");
	else
		appendStringInfo(html, "<p class=\"soft\">Measured on the %s rows of the source that was given. Whether the model has seen "
						 "some of them is not known here.</p>\n", HumanCount((int64) rows->all.rows));
}

/* What experts and gate are worth, in a sentence. */
static void
TellGain(Report *report)
{
	const ReportRows *rows = &report->rows;
	double		gain = rows->reason == NULL ? rows->wauc[report->facts.served] - rows->wauc[MML_MODE_BACKBONE] : NAN;

	appendStringInfo(report->page.html, "<p class=\"lead\">Version %d%s scores with %s.", report->version.number,
					 report->history.is_current ? ", the current one," : "", ReportModeName(report->facts.served));
	if (isfinite(gain) && report->facts.served != MML_MODE_BACKBONE && ReportHasBackbone(report))
		appendStringInfo(report->page.html, " Against its shared network alone that changes the AUC by %s, as a mean of "
						 "the domains weighted by rows.", HumanDifference(gain, 4));
	appendStringInfoString(report->page.html, "</p>\n");
}

static void
PutLink(Report *report, const char *id, const char *text)
{
	appendStringInfo(report->page.html, "<li><a href=\"#%s\">%s</a></li>", id, text);
}

static void
PutLinks(Report *report)
{
	bool		is_measured = report->rows.reason == NULL;

	appendStringInfoString(report->page.html, "<nav aria-label=\"Parts of the page\"><ul>");
	PutLink(report, "domains", "Domains");
	if (report->facts.n_experts > 0)
		PutLink(report, "gates", "Experts");
	if (is_measured && report->importance != NULL)
		PutLink(report, "features", "Features");
	if (is_measured)
	{
		PutLink(report, "roc", "ROC");
		PutLink(report, "calibration", "Calibration");
	}
	if (mml_model_phases(report->model) > 0)
		PutLink(report, "training", "Training");
	PutLink(report, "card", "Model card");
	appendStringInfoString(report->page.html, "</ul></nav>\n");
}

void
ReportHead(Report *report)
{
	StringInfo	html = report->page.html;

	appendStringInfoString(html, "<header>\n<p class=\"eyebrow\">moemlora report</p>\n<h1><bdi>");
	HtmlText(html, report->name);
	appendStringInfoString(html, "</bdi></h1>\n");
	TellGain(report);
	PutTiles(report);
	TellRows(report);
	PutLinks(report);
	appendStringInfoString(html, "</header>\n<main>\n");
}

/* ----------------------------------------------------------------- model card */

static void
TermBegin(Report *report, const char *term)
{
	appendStringInfo(report->page.html, "<dt>%s</dt><dd>", term);
}

static void
TermEnd(Report *report)
{
	appendStringInfoString(report->page.html, "</dd>\n");
}

/* A term with a text of anybody's; NULL: left out. */
static void
PutTerm(Report *report, const char *term, const char *text)
{
	if (text == NULL)
		return;
	TermBegin(report, term);
	(void) HtmlClipped(report->page.html, text, REPORT_TEXT);
	TermEnd(report);
}

/* An option of the core by its name, as text. */
static const char *
OptionValue(const Report *report, const char *name)
{
	int			n_options;
	const mml_option *options = mml_options(&n_options);
	char		text[256];

	for (int i = 0; i < n_options; i++)
	{
		if (strcmp(options[i].name, name) != 0)
			continue;
		mml_config_get_text(mml_model_config(report->model), &options[i], text, sizeof(text));
		return pstrdup(text);
	}
	elog(ERROR, "option \"%s\" is not known", name);
}

static void
PutMaking(Report *report)
{
	const VersionHistory *history = &report->history;

	appendStringInfoString(report->page.html, "<h3>Making</h3>\n<dl>\n");
	PutTerm(report, "model", report->name);
	PutTerm(report, "version", psprintf("%d%s", report->version.number, history->is_current ? ", current" : ", not current"));
	PutTerm(report, "owner", report->version.owner);
	PutTerm(report, history->seconds >= 0.0 ? "trained by" : "imported by", history->created_by);
	PutTerm(report, "stored", Moment(history->created));
	if (history->seconds >= 0.0)
		PutTerm(report, "took", HumanSeconds(history->seconds));
	PutTerm(report, "moemlora_retrain()", history->decision);
	PutTerm(report, "because", history->decision_reason);
	PutTerm(report, "backbone", OptionValue(report, "backbone"));
	PutTerm(report, "method", OptionValue(report, "method"));
	PutTerm(report, "recipe", OptionValue(report, "recipe"));
	PutTerm(report, "size", psprintf("%s parameters, %s stored", HumanCount(report->facts.parameters),
									 HumanBytes((int64) report->version.bytes)));
	PutTerm(report, "software", psprintf("moemlora %s, model format %d, PostgreSQL %s, at the time of this page",
										 MOEMLORA_VERSION, mml_format_version(), PG_VERSION));
	appendStringInfoString(report->page.html, "</dl>\n");
}

static void
PutData(Report *report)
{
	StringInfo	html = report->page.html;

	appendStringInfoString(html, "<h3>Data</h3>\n<dl>\n");
	PutTerm(report, "label", report->stored.label);
	PutTerm(report, "domain", report->stored.domain);
	PutTerm(report, "split column", report->stored.split_column);
	PutTerm(report, "rows trained on", HumanCount(report->facts.train_rows));
	PutTerm(report, "rows validated on", HumanCount(report->facts.valid_rows));
	PutTerm(report, "rows left out", report->history.rows_left_out == 0 ? NULL :
			psprintf("%s, whose label or domain is NULL", HumanCount(report->history.rows_left_out)));
	appendStringInfoString(html, "</dl>\n");
	if (report->stored.source != NULL)
	{
		appendStringInfoString(html, "<p class=\"soft\">Source, as it was given:</p>\n<pre>");
		(void) HtmlClipped(html, report->stored.source, REPORT_TEXT);
		appendStringInfoString(html, "</pre>\n");
	}
}

static void
PutFeatures(Report *report)
{
	static const char *const kinds[] = {
		[MML_CATEGORICAL] = "categorical",
		[MML_NUMERIC] = "numeric",
		[MML_MULTI] = "multi",
		[MML_VECTOR] = "vector",
	};
	StringInfo	html = report->page.html;
	int			n_features = mml_model_features(report->model);
	int			n_shown = Min(n_features, REPORT_TABLE);

	appendStringInfoString(html, "<h3>Features</h3>\n");
	HtmlTableBegin(html, "In the order of training");
	HtmlColumn(html, "feature", false);
	HtmlColumn(html, "kind", false);
	HtmlColumn(html, "type", false);
	HtmlColumn(html, "values", true);
	HtmlRowsBegin(html);
	for (int i = 0; i < n_shown; i++)
	{
		mml_field_spec spec;

		mml_model_feature(report->model, i, &spec);
		HtmlRowBegin(html);
		HtmlHeadCell(html, spec.name);
		HtmlTextCell(html, kinds[spec.kind]);
		HtmlTextCell(html, i < list_length(report->history.feature_types) ? list_nth(report->history.feature_types, i) : "-");
		HtmlNumberCell(html, spec.kind == MML_NUMERIC ? "a number" : spec.kind == MML_VECTOR ?
					   psprintf("%s numbers", HumanCount(spec.width)) :
					   HumanCount(mml_model_feature_size(report->model, i) - RESERVED_IDS));
		HtmlRowEnd(html);
	}
	HtmlTableEnd(html);
	ReportLeftOut(report, "Features", n_shown, n_features);
}

/* As given, and what came of those that were not. */
static void
PutOptions(Report *report)
{
	StringInfo	html = report->page.html;
	int			n_options;
	const mml_option *options = mml_options(&n_options);
	char		text[256];

	appendStringInfoString(html, "<h3>Options</h3>\n");
	if (report->stored.options != NULL)
	{
		appendStringInfoString(html, "<p class=\"soft\">As they were given:</p>\n<pre>");
		(void) HtmlClipped(html, JsonbToCStringIndent(NULL, &report->stored.options->root,
													  VARSIZE(report->stored.options)), REPORT_TEXT);
		appendStringInfoString(html, "</pre>\n");
	}
	appendStringInfoString(html, "<details><summary>All options of the network and its training, with defaults</summary>\n");
	HtmlTableBegin(html, "0 for lora_rank, lora_reduce and gate_own_share: not given; without lora_rank and lora_reduce a rank is a 16th of its layer");
	HtmlColumn(html, "option", false);
	HtmlColumn(html, "value", false);
	HtmlRowsBegin(html);
	for (int i = 0; i < n_options; i++)
	{
		mml_config_get_text(mml_model_config(report->model), &options[i], text, sizeof(text));
		HtmlRowBegin(html);
		HtmlHeadCell(html, options[i].name);
		HtmlTextCell(html, text);
		HtmlRowEnd(html);
	}
	HtmlTableEnd(html);
	appendStringInfoString(html, "</details>\n");
}

void
ReportCard(Report *report)
{
	StringInfo	html = report->page.html;

	ReportPartBegin(report, "card", "Model card", REPORT_WIDE);
	appendStringInfoString(html, "<div class=\"panels\">\n<div>\n");
	PutMaking(report);
	appendStringInfoString(html, "</div>\n<div>\n");
	PutData(report);
	appendStringInfoString(html, "</div>\n<div>\n");
	PutFeatures(report);
	appendStringInfoString(html, "</div>\n<div>\n");
	PutOptions(report);
	appendStringInfoString(html, "</div>\n</div>\n");
	ReportPartEnd(report);
	appendStringInfoString(html, "</main>\n<footer>Made on ");
	HtmlText(html, Moment(GetCurrentTransactionStartTimestamp()));
	appendStringInfoString(html, " by role ");
	HtmlText(html, GetUserNameFromId(GetUserId(), false));
	appendStringInfoString(html, " with moemlora_report(). AUC: the chance that a positive row scores above a negative one. "
						   "WAUC: AUC of each domain, weighted by rows. Logloss: mean of -ln of the probability given to what "
						   "happened.</footer>\n");
}
