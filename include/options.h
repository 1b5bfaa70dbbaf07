/*
 * options.h - private to options.c and column_options.c: options as jsonb.
 */
#ifndef MOEMLORA_OPTIONS_H
#define MOEMLORA_OPTIONS_H

#include "compat.h"			/* for pg_noreturn */
#include "moemlora.h"

/* options.c */

/* Inside ereport(): the detail that shows a value as it was given. */
extern int	OptionValueDetail(const JsonbValue *value);

/* Raises: "option ... must be ...". */
pg_noreturn extern void OptionRefuse(const char *name, const char *wanted, const JsonbValue *value);

/* The number of a jsonb numeric. */
extern double OptionNumber(const JsonbValue *value);

/* A jsonb string, zero-terminated. */
extern char *OptionText(const JsonbValue *value);

/* The numbers of a jsonb array; NULL when it is no array of numbers. */
extern double *OptionNumbers(const JsonbValue *value, int *n_numbers);

/* Walks over the keys of an object; false behind the last. */
extern bool OptionNextKey(JsonbIterator **iterator, char **key, JsonbValue *value);

/* Whether an object of options has one of that name. */
extern bool OptionIsGiven(Jsonb *json, const char *name);

/* column_options.c: option `columns` as a List of ColumnOption */
extern List *ColumnOptionsParse(const JsonbValue *value);

#endif							/* MOEMLORA_OPTIONS_H */
