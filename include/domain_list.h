/*
 * domain_list.h - private to domain_list.c and the functions that look at the rows
 * of a source domain by domain: the domains that were met.
 */
#ifndef MOEMLORA_DOMAIN_LIST_H
#define MOEMLORA_DOMAIN_LIST_H

#include "moemlora.h"

/* A domain's name; zero-terminated. */
typedef struct ListedDomain
{
	const char *bytes;
	Size		length;
} ListedDomain;

typedef struct DomainList
{
	MemoryContext context;
	mml_host   *host;
	struct HTAB *entries;
	ListedDomain *names;		/* [n] in order of arrival, later of their bytes */
	int			n;
	int			held;
} DomainList;

/* All memory is of `context`, and counts as `host`'s. */
extern void DomainListInit(DomainList *list, MemoryContext context, mml_host *host);

/* The place of a domain in order of arrival; it is added when it is new.  Raises where moemlora.training_memory has no room. */
extern int	DomainListPlace(DomainList *list, const char *bytes, Size length);

/* Brings the domains into the order of their bytes; ranks: [n] the new place of each. */
extern void DomainListSort(DomainList *list, int *ranks);

/* unseen.c: NOTICEs about what a model has never seen */

/* rows: [list->n] of each domain, in the order of the list. */
extern void UnseenDomains(const mml_model *model, const DomainList *list, const int64 *rows);

/* counts: [features] values of each that the model does not know. */
extern void UnseenValues(const mml_model *model, const uint64 *counts);

/* Rows whose label or domain is NULL. */
extern void UnseenRows(int64 n_rows);

#endif							/* MOEMLORA_DOMAIN_LIST_H */
