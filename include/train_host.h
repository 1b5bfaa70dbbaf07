/*
 * train_host.h - private to train_host.c and the files that train: what the core
 * gets from the server while it trains.
 */
#ifndef MOEMLORA_TRAIN_HOST_H
#define MOEMLORA_TRAIN_HOST_H

#include "mml_run.h"
#include "moemlora.h"

struct SharedMemory;

/* A training that is left after every epoch; the process is in no parallel operation then. */
typedef struct TrainPauses
{
	/* The run was just created.  False: this training is not to be; TrainInParallel() returns NULL. */
	bool		(*begin) (void *self, mml_run *run);
	void		(*pause) (void *self, const mml_run *run);	/* NULL: it is not left */
	void	   *self;
} TrainPauses;

/* The bridge's host, with memory that workers can share, and reports. */
typedef struct TrainHost
{
	mml_host	host;			/* what the core is given */
	mml_host   *bridge;
	struct SharedMemory *shared;
	void		(*report) (void *owner, const mml_epoch *epoch);
	void	   *owner;
	const TrainPauses *pauses;	/* NULL: there are none */
} TrainHost;

/* Memory is that of `context`, at most moemlora.training_memory.  Every epoch goes to `report` with `owner`. */
extern void TrainHostInit(TrainHost *host, MemoryContext context,
						  void (*report) (void *owner, const mml_epoch *epoch), void *owner);

/* parallel_train.c */

/*
 * Trains on finished rows, with as many parallel workers as options, settings,
 * memory and server allow.  Tells, at level `told`, how many processes and how
 * much memory there are; NOTICE where they are fewer than were asked for.
 */
extern mml_model *TrainInParallel(TrainHost *host, mml_rows *rows, const TrainOptions *options, int told);

/* Raises what the core found wrong with rows to train on; row 0: no single one. */
extern void CheckTrainingRows(TrainHost *host, mml_rows *rows, mml_status status, int64 row);

#endif							/* MOEMLORA_TRAIN_HOST_H */
