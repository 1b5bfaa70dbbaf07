/*
 * checkpoint.h - private to checkpoint.c, sql_retrain.c and model_store_write.c:
 * the stored state of a retraining, by which it shows and can go on.
 */
#ifndef MOEMLORA_CHECKPOINT_H
#define MOEMLORA_CHECKPOINT_H

#include "mml_run.h"
#include "moemlora.h"

/* A row of moemlora.checkpoint, as far as a resumed run needs it. */
typedef struct CheckpointRow
{
	int64		model_id;
	int32		version;		/* current when the run began */
	Jsonb	   *options;		/* of the run, as given */
	uint64		identity[MML_IDENTITY_WORDS];
	bool		has_parts;		/* an epoch is done */
	double		seconds;		/* of work */
	int			n_epochs;		/* rows of moemlora.checkpoint_epoch */
} CheckpointRow;

/* False: the model has none under `snapshot`. */
extern bool CheckpointFind(int64 model_id, Snapshot snapshot, CheckpointRow *found);

/* A run begins, in place of whatever the model had: its row says "reading". */
extern void CheckpointCreate(int64 model_id, int32 version, Jsonb *options);

/* This process takes over the run; what it had learned, and its options, stay until others are saved. */
extern void CheckpointTakeOver(int64 model_id);
extern void CheckpointSetOptions(int64 model_id, Jsonb *options);

/* The model in the checkpoint as one to start from, in the memory of `host`. */
extern mml_model *CheckpointLoadModel(mml_host *host, int64 model_id, Snapshot snapshot);

/* Takes the state into a run that was just created, of the same identity.  `host`: the run's. */
extern void CheckpointRestore(mml_host *host, mml_run *run, int64 model_id, Snapshot snapshot);

/* Writes the states of one run: what has not changed since the one before stays as it is. */
typedef struct CheckpointWriter CheckpointWriter;

/* In the current memory context; it must outlive transactions. */
extern CheckpointWriter *CheckpointWriterCreate(mml_host *host, int64 model_id, const uint64 *identity);

/* A paused run.  epochs: [n] since the state before, of which the first has position `first` + 1. */
extern void CheckpointSave(CheckpointWriter *writer, const mml_run *run, double seconds, const mml_epoch *epochs,
						   int first, int n);

#endif							/* MOEMLORA_CHECKPOINT_H */
