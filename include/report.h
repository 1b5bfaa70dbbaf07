/*
 * report.h - private to sql_report.c and report_*.c: the page of
 * moemlora_report().
 *
 * sql_report.c collects what there is to tell; each report_*.c writes one part of
 * the page from it.  The page is bounded: of what there can be many of, the
 * largest are shown, and the page says how many are left out.
 */
#ifndef MOEMLORA_REPORT_H
#define MOEMLORA_REPORT_H

#include "chart.h"
#include "html.h"
#include "scored_rows.h"

/* Of each, so many are shown at most. */
#define REPORT_BARS 10			/* domains as bars, features by importance */
#define REPORT_TABLE 40			/* domains, features, epochs in a table */
#define REPORT_CURVES 6			/* domains with a ROC curve, experts with a learning curve */
#define REPORT_CELLS 12			/* rows and columns of the gates */
#define REPORT_TEXT 3000		/* characters of a source, and of options */

/* So many standard errors are 95 % of luck, on both sides together. */
#define REPORT_LUCK 1.959964

/* The modes that a model can score in, as the core counts them: backbone, own, gate. */
#define REPORT_MODES 3

/* What was measured on rows; NaN: not defined. */
typedef struct ReportFigures
{
	const char *name;			/* of the domain; NULL: all rows */
	Size		first;			/* of its rows in ScoredRows.order */
	Size		rows;
	Size		positives;
	bool		is_known;		/* the training had rows of the domain */
	double		auc[REPORT_MODES];
	double		logloss;		/* of the served mode, as calibration is */
	double		calibration;	/* mean score over mean label */
} ReportFigures;

/* The rows that the page measures, or why there are none. */
typedef struct ReportRows
{
	const char *reason;			/* not read: why, plain text that may hold anybody's; else NULL */
	const char *what;			/* which rows they are, ours: "test rows" */
	bool		are_recorded;	/* the source is the one of the training */
	bool		are_unseen;		/* test rows: no training has seen them */
	ScoredRows *scored;
	const float *scores[REPORT_MODES];	/* NULL: the model has no such mode */
	ReportFigures *domains;		/* [n_domains], most rows first */
	int			n_domains;
	ReportFigures all;
	double		wauc[REPORT_MODES]; /* AUC per domain weighted by rows */
} ReportRows;

/* Epochs of one phase, or of one expert in it. */
typedef struct ReportEpochs
{
	int			run;
	int			expert;			/* -1: of no single one */
	StoredEpoch *epochs;
	int			n_epochs;
	int			n_held;
} ReportEpochs;

/* What features are worth: report_importance.c. */
typedef struct ReportImportance ReportImportance;

typedef struct Report
{
	ChartPage	page;
	MemoryContext context;
	const char *name;
	ModelVersion version;
	const mml_model *model;
	mml_host   *host;
	mml_model_facts facts;
	StoredSource stored;
	VersionHistory history;
	ReportRows	rows;
	ReportImportance *importance;	/* NULL: there are no rows to tell it from */
	int		   *by_rows;		/* [n_domains] of the model, most training rows first */
	ReportEpochs *epochs;		/* [n_curves] */
	int			n_curves;
} Report;

/* report_rows.c: reads and measures rows; `source` NULL: the recorded one */
extern void ReportRowsRead(Report *report, const char *source);

/* report_style.c: the page around all parts, and the parts' frames */
extern void ReportPageBegin(Report *report);
extern void ReportPageEnd(Report *report);

/* What a part takes of the page where that is wide: half of it, or two parts high; on a phone parts follow each other. */
typedef enum ReportSize
{
	REPORT_HALF, REPORT_TALL, REPORT_WIDE
} ReportSize;

/* A part with its heading. Texts are ours. */
extern void ReportPartBegin(Report *report, const char *id, const char *heading, ReportSize size);
extern void ReportPartEnd(Report *report);

/* Around a picture, and around the table that says the same. */
extern void ReportFigureBegin(Report *report);
extern void ReportFigureEnd(Report *report);
extern void ReportNumbersBegin(Report *report);
extern void ReportNumbersEnd(Report *report);

/* "The 10 with the most rows are shown, 9,990 are left out." where that is so. */
extern void ReportLeftOut(Report *report, const char *which, int n_shown, int64 n_all);

/* report_card.c: head and model card */
extern const char *ReportModeName(mml_mode mode);
extern void ReportHead(Report *report);
extern void ReportCard(Report *report);

/* report_domains.c: AUC of each mode by domain */

/* Whether the shared network was trained to score alone, so that the others can be held against it. */
extern bool ReportHasBackbone(const Report *report);
extern void ReportDomains(Report *report);

/* report_curves.c: ROC and calibration */
extern void ReportRoc(Report *report);
extern void ReportCalibration(Report *report);

/* report_importance.c: what features are worth on the rows of a query */
extern void ReportImportanceRead(Report *report, const char *query);
extern void ReportFeatures(Report *report);

/* report_gates.c: how domains weigh experts */
extern void ReportGates(Report *report);

/* report_training.c: learning curves */
extern void ReportEpochsRead(Report *report, Snapshot snapshot);
extern void ReportTraining(Report *report);

#endif							/* MOEMLORA_REPORT_H */
