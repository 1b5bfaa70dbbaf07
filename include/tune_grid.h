/*
 * tune_grid.h - private to tune_grid.c and sql_tune.c: options with lists of
 * values, and their combinations.
 */
#ifndef MOEMLORA_TUNE_GRID_H
#define MOEMLORA_TUNE_GRID_H

#include "moemlora.h"

/* An option, and what it is to be. */
typedef struct TuneKey
{
	char	   *name;
	int			n_values;		/* 1: the same in all trials, unless it was a list of one */
	bool		is_varied;
	Jsonb	  **objects;		/* [n_values] {name: value} */
} TuneKey;

typedef struct TuneGrid
{
	List	   *keys;			/* of TuneKey *, in the order of jsonb */
	uint64		n_combinations;
	int64		seed;			/* option seed, or its default */
} TuneGrid;

/* Raises on what is no grid; each single value is checked here. */
extern TuneGrid *TuneGridParse(Jsonb *json);

/* Combination `number` of n_combinations: all its options, and those that are varied. */
extern void TuneGridGet(const TuneGrid *grid, uint64 number, Jsonb **given, Jsonb **varied);

#endif							/* MOEMLORA_TUNE_GRID_H */
