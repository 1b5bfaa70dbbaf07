/*
 * restricted.h - private to restricted.c and the files that read a recorded
 * source: with the rights of a model's owner.
 */
#ifndef MOEMLORA_RESTRICTED_H
#define MOEMLORA_RESTRICTED_H

#include "postgres.h"

/* Who called. */
typedef struct RestrictedCaller
{
	Oid			user;
	int			context;		/* security context */
	int			nest_level;		/* of settings */
} RestrictedCaller;

/*
 * From here on queries run with the rights of `owner`, in a security-restricted
 * operation, and look up names along search_path.
 */
extern void RestrictedBegin(RestrictedCaller *caller, Oid owner, const char *search_path);

/* Until here; an error ends it, too. */
extern void RestrictedEnd(const RestrictedCaller *caller);

#endif							/* MOEMLORA_RESTRICTED_H */
