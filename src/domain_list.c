/*
 * domain_list.c - the domains that were met in the rows of a source.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "domain_list.h"

#define ENTRY_BYTES 128			/* of a name beside its text, about */

typedef struct DomainEntry
{
	ListedDomain key;			/* must be first */
	int			place;			/* in order of arrival */
} DomainEntry;

static uint32
HashDomain(const void *key, Size size pg_attribute_unused())
{
	const ListedDomain *domain = key;

	return hash_bytes((const unsigned char *) domain->bytes, (int) domain->length);
}

static int
CompareDomains(const void *a, const void *b)
{
	const ListedDomain *left = a;
	const ListedDomain *right = b;
	int			order = memcmp(left->bytes, right->bytes, Min(left->length, right->length));

	if (order == 0 && left->length != right->length)
		order = left->length < right->length ? -1 : 1;
	return order;
}

static int
MatchDomains(const void *a, const void *b, Size size pg_attribute_unused())
{
	return CompareDomains(a, b);
}

void
DomainListInit(DomainList *list, MemoryContext context, mml_host *host)
{
	HASHCTL		control;

	memset(list, 0, sizeof(*list));
	list->context = context;
	list->host = host;
	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(ListedDomain);
	control.entrysize = sizeof(DomainEntry);
	control.hash = HashDomain;
	control.match = MatchDomains;
	control.hcxt = context;
	list->entries = hash_create("moemlora domains met", 256, &control,
								HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

/* A source can have any number of them, of any length. */
static void
ChargeName(const DomainList *list, Size length)
{
	mml_host   *host = list->host;
	Size		allowed = (Size) GucTrainingMemoryKb * 1024;

	host->memory_used += length + ENTRY_BYTES;
	if (host->memory_used > allowed)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("not enough memory allowed for the names of so many domains"),
						errdetail("With %d domains %zu kB are needed, %zu kB are allowed.", list->n + 1, host->memory_used / 1024 + 1,
								  allowed / 1024),
						errhint("Raise moemlora.training_memory, or look whether that is the domain's column.")));
}

int
DomainListPlace(DomainList *list, const char *bytes, Size length)
{
	ListedDomain key = {bytes, length};
	bool		is_found;
	DomainEntry *entry = hash_search(list->entries, &key, HASH_ENTER, &is_found);
	char	   *copy;

	if (is_found)
		return entry->place;
	ChargeName(list, length);
	copy = MemoryContextAlloc(list->context, length + 1);
	memcpy(copy, bytes, length);
	copy[length] = '\0';
	entry->key.bytes = copy;
	entry->place = list->n;
	if (list->n == list->held)
	{
		list->held = Max(64, list->held * 2);
		list->names = list->names == NULL ?
			MemoryContextAllocHuge(list->context, list->held * sizeof(ListedDomain)) :
			repalloc_huge(list->names, list->held * sizeof(ListedDomain));
	}
	list->names[list->n] = entry->key;
	return list->n++;
}

void
DomainListSort(DomainList *list, int *ranks)
{
	int			i;

	if (list->n > 0)
		qsort(list->names, list->n, sizeof(ListedDomain), CompareDomains);
	for (i = 0; i < list->n; i++)
	{
		DomainEntry *entry = hash_search(list->entries, &list->names[i], HASH_FIND, NULL);

		ranks[entry->place] = i;
	}
}
