/*
 * train_job.h - private to train_job.c and the files that have it train: one
 * training, from a query to a stored version.
 */
#ifndef MOEMLORA_TRAIN_JOB_H
#define MOEMLORA_TRAIN_JOB_H

#include "addition.h"
#include "promotion.h"
#include "train_host.h"

typedef struct TrainJob
{
	TrainHost	train_host;
	mml_host   *host;			/* its */
	MemoryContext context;		/* of everything; delete it in the end */
	MemoryContext row_context;	/* reset at every row */

	/* What to do: the caller's part */
	const char *model_name;
	const char *source;
	const char *label_name;
	const char *domain_name;
	List	   *features;		/* of String nodes; NIL: all columns */
	TrainOptions *options;
	const char *search_path;	/* to store */
	mml_model  *previous;		/* what a warm start goes on from, of this host; NULL: there is none */
	int32		previous_version;
	Promotion  *promotion;		/* decides whether the version becomes current; NULL: it does */
	Addition   *addition;		/* of one domain; NULL: all are trained */
	Jsonb	   *added;			/* domains that were added before, see addition.h; NULL: none */

	/* The source's columns, once it runs */
	Binding    *binding;
	FactColumn *label;
	FactColumn *domain;
	FactColumn *split;			/* NULL: not given; so below */
	FactColumn *time;
	FactColumn *weight;
	int			last_column;
	List	   *feature_names;

	/* Its rows */
	mml_rows   *rows;
	int64		n_read;
	int64		n_left_out;

	/* What the core reported */
	mml_epoch  *epochs;
	int			n_epochs;
	int			epochs_held;
	int			first_epoch;	/* epochs that are in moemlora.checkpoint_epoch instead */

	double		started;		/* by the host's clock */
	double		seconds_before;	/* of work, by earlier processes */

	/* What came of it */
	mml_model  *model;
	int32		version;
} TrainJob;

/* An empty job in a memory context of its own, below the current one. */
extern TrainJob *TrainJobCreate(void);

/* Checks what can be checked without the source; returns the query over it. */
extern char *TrainJobPrepare(TrainJob *job);

/*
 * Reads, trains, stores: fills model and version.  The caller has taken the model
 * with ModelStoreBegin(), and the job's context is current.
 */
extern void TrainJobRun(TrainJob *job, const char *query);

/*
 * The same in steps.  TrainJobEnd() must follow TrainJobBegin(), whatever happens.
 * TrainJobRead() reads the source into the job's rows, and finishes them;
 * TrainJobTrain() is false when the pauses of train_host refuse the run.
 */
extern void TrainJobBegin(TrainJob *job);
extern void TrainJobRead(TrainJob *job, const char *query);
extern bool TrainJobTrain(TrainJob *job);
extern void TrainJobStore(TrainJob *job);
extern void TrainJobEnd(void);

/* Of work so far. */
extern double TrainJobSeconds(const TrainJob *job);

/* sql_train.c: an argument that is an array of names, as String nodes; NIL for NULL */
extern List *TrainFeaturesArgument(struct FunctionCallInfoBaseData *fcinfo, int argument);

/* sql_retrain.c: takes over what a version was trained from, and returns its options; raises where that is not known */
extern Jsonb *RetrainReadSpec(TrainJob *job, Jsonb *spec);
extern void RetrainCheckSpec(const TrainJob *job, int32 version);

#endif							/* MOEMLORA_TRAIN_JOB_H */
