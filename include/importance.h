/*
 * importance.h - private to sql_importance.c and report_importance.c: a sample of
 * a source's rows, in which features can be permuted.
 */
#ifndef MOEMLORA_IMPORTANCE_H
#define MOEMLORA_IMPORTANCE_H

#include "domain_list.h"

/* One call. */
typedef struct ImportanceJob
{
	MemoryContext context;
	MemoryContext row_context;	/* reset at every row */
	mml_host   *host;
	const mml_model *model;
	mml_scorer *scorer;
	mml_sample *sample;
	const char *label_name;
	const char *domain_name;
	FactColumn *label;
	FactColumn *domain;
	Binding    *binding;
	int			last_column;	/* of those that are looked at, from 1 */
	DomainList	list;
	int64	   *domain_rows;	/* [domain_rows_held] by place in the list */
	int			domain_rows_held;
	int64		n_read;
	int64		n_left_out;
} ImportanceJob;

/* The model, decoded in the memory of the host, and how many rows the sample has at most.  All is in `context`. */
extern void ImportanceBegin(ImportanceJob *job, MemoryContext context, mml_host *host, const mml_model *model,
							int32 most_rows);

/* Reads the query's rows (RowSourceQuery()); then the domains are in the order of their names. */
extern void ImportanceRead(ImportanceJob *job, const char *query, const char *label, const char *domain);

#endif							/* MOEMLORA_IMPORTANCE_H */
