/*
 * near_miss.c - the name that was perhaps meant: the nearest of the known
 * names by edit distance, for hints.
 */
#include "postgres.h"

#include "utils/varlena.h"

#include "moemlora.h"

/* Farther than this is no near miss; for short names, less is. */
#define MAX_DISTANCE 3

/* varstr_levenshtein() takes no longer texts. */
#define MAX_LENGTH 255

/* Starts a search for the name meant by `given`. */
void
NearMissInit(NearMiss *miss, const char *given)
{
	miss->given = given;
	miss->best = NULL;
	miss->distance = strlen(given) < 3 ? 1 : Min(MAX_DISTANCE, 1 + (int) strlen(given) / 4) + 1;
}

/* Takes a known name into account; it must live until NearMissHint(). */
void
NearMissOffer(NearMiss *miss, const char *candidate)
{
	size_t		n_given = strlen(miss->given);
	size_t		n_candidate = strlen(candidate);
	int			distance;

	if (n_given > MAX_LENGTH || n_candidate > MAX_LENGTH)
		return;
	if (pg_strcasecmp(miss->given, candidate) == 0)
		distance = 0;
	else
		distance = varstr_levenshtein_less_equal(miss->given, (int) n_given, candidate, (int) n_candidate, 1, 1, 1,
												 miss->distance, true);
	if (distance < miss->distance)
	{
		miss->best = candidate;
		miss->distance = distance;
	}
}

/* The hint, inside ereport(). */
int
NearMissHint(const NearMiss *miss)
{
	if (miss->best == NULL)
		return 0;
	return errhint("Perhaps you mean \"%s\".", miss->best);
}
