/*
 * score_block.h - private to score_block.c and its callers, sql_score.c and
 * score_scan.c: rows that one call site of moemlora_score() scores together.
 *
 * Rows are read one by one and scored when they are enough.  Reading runs
 * whatever the arguments are made of, and that may score with the same model: so
 * rows are copied first, and then encoded and scored with nothing foreign in
 * between.
 */
#ifndef MOEMLORA_SCORE_BLOCK_H
#define MOEMLORA_SCORE_BLOCK_H

#include <math.h>

#include "access/htup_details.h"	/* for HeapTupleHeader */
#include "nodes/pg_list.h"		/* for List */

#include "model_use.h"

/* Of moemlora_score(), in order. */
typedef enum ScoreArgument
{
	SCORE_MODEL, SCORE_DOMAIN, SCORE_FEATURES
} ScoreArgument;

#define SCORE_ARGUMENTS 3

/* For contexts that hold rows: they grow in steps that are small beside a quarter of work_mem. */
#define ALLOCSET_ROWS_SIZES ALLOCSET_DEFAULT_MINSIZE, ALLOCSET_DEFAULT_INITSIZE, 8 * ALLOCSET_DEFAULT_INITSIZE

/* Rows of a first block: who stops after a few of them shall not wait for thousands. */
#define FIRST_BLOCK_ROWS 512

/*
 * Gets an argument of the row at a place of the block: false, it is NULL.  The
 * value must stay good until the next is asked for.
 */
typedef bool (*ScoreArgumentGetter) (void *rows, ScoreArgument argument, int place, Datum *value);

/* A row that was read and is not scored yet. */
typedef struct KeptRow
{
	int			place;			/* in the block */
	Oid			type;			/* of its features, a row; so below */
	int32		typmod;
	HeapTupleHeader tuple;		/* NULL: it came in columns */
	Datum	   *values;			/* [desc->natts], of columns that the model does not read undefined */
	bool	   *nulls;
	Datum	   *casts;			/* by feature, where there are casts */
	char	   *domain;			/* not zero-terminated */
	Size		domain_length;
} KeptRow;

typedef struct ScoreBlock
{
	bool		is_value;		/* the model is one, not a name */
	bool		is_stable[SCORE_ARGUMENTS]; /* the same for all rows */
	TupleDesc	desc;			/* of features that come in columns; NULL: they come as rows */
	MemoryContext context;		/* of the rows; reset with them */
	Size		empty_bytes;	/* that it takes without rows */
	MemoryContext model_context;	/* holds the model of the rows kept */
	ModelUses	uses;
	ModelUse   *use;			/* of all rows kept */
	int			good_rows;		/* how many are good for its model; 0: not known yet */
	Size		model_bytes;	/* of values evaluated for its rows, which the server may hold until it ends */
	int			n_kept;
	KeptRow		kept[MML_SCORER_ROWS];
	float		scores[MML_SCORER_ROWS];	/* by place; NaN: NULL */
} ScoreBlock;

/*
 * An empty one, in `context`; arguments: the call's expressions; desc: of features
 * that will all come in columns, or NULL.
 */
extern ScoreBlock *ScoreBlockCreate(MemoryContext context, bool is_value, List *arguments, TupleDesc desc);

/* Forgets all rows. */
extern void ScoreBlockReset(ScoreBlock *block);

/* Reads the row of the next place, up to MML_SCORER_ROWS - 1.  Temporary memory is the caller's current context. */
extern void ScoreBlockRead(ScoreBlock *block, ScoreArgumentGetter get, void *rows, int place);

/* The same with the features in columns, whose values are copied. */
extern void ScoreBlockReadColumns(ScoreBlock *block, const Datum *values, const bool *nulls,
								  ScoreArgumentGetter get, void *rows, int place);

/* Scores all rows read. */
extern void ScoreBlockFinish(ScoreBlock *block);

/* Bytes that its rows take. */
static inline Size
ScoreBlockMemory(const ScoreBlock *block)
{
	return MemoryContextMemAllocated(block->context, false) - block->empty_bytes + block->model_bytes;
}

/* How many rows the block after one of so many should have. */
static inline int
ScoreBlockNextRows(const ScoreBlock *block, int n_rows)
{
	return Max(Min(2 * n_rows, block->good_rows), FIRST_BLOCK_ROWS);
}

static inline Datum
ScoreBlockScore(const ScoreBlock *block, int place, bool *is_null)
{
	*is_null = isnan(block->scores[place]);
	return Float4GetDatum(block->scores[place]);
}

#endif							/* MOEMLORA_SCORE_BLOCK_H */
