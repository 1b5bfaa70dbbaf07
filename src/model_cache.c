/*
 * model_cache.c - decoded models of this session.
 *
 * A model is known by the uuid of its version, and the bytes of a version never
 * change: nothing here ever needs to be invalidated.  Each model lives in a
 * memory context of its own under "moemlora model cache".  When all models
 * together, with the towers that their scorers have folded, take more than
 * moemlora.cache_size, the least recently used ones leave; the one asked for
 * stays.
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "moemlora.h"

#define KB ((uint64) 1024)

/* What the hash table holds. */
typedef struct CacheEntry
{
	pg_uuid_t	uuid;			/* must be first: the key */
	dlist_node	node;			/* in Cache.by_use */
	CachedModel *model;
	MemoryContext context;		/* all of the model's memory */
	uint64		bytes;			/* when it was last looked at */
} CacheEntry;

static struct
{
	MemoryContext context;
	HTAB	   *entries;
	dlist_head	by_use;			/* most recently used first */
	uint64		bytes;			/* sum over the entries */
	uint64		generation;
} Cache;

void
ModelCacheInit(void)
{
	HASHCTL		control;

	Cache.context = AllocSetContextCreate(TopMemoryContext, "moemlora model cache", ALLOCSET_DEFAULT_SIZES);
	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(pg_uuid_t);
	control.entrysize = sizeof(CacheEntry);
	control.hcxt = Cache.context;
	Cache.entries = hash_create("moemlora models", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	dlist_init(&Cache.by_use);
}

/* Scorers fold towers as they go, so an entry grows while it is used. */
static void
Recount(CacheEntry *entry)
{
	Cache.bytes -= entry->bytes;
	entry->bytes = (uint64) mml_model_bytes(entry->model->model) + mml_scorer_bytes(entry->model->one);
	Cache.bytes += entry->bytes;
}

static void
RecountAll(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &Cache.by_use)
		Recount(dlist_container(CacheEntry, node, iter.cur));
}

static void
Evict(CacheEntry *entry)
{
	pg_uuid_t	uuid = entry->uuid;

	Cache.generation++;
	Cache.bytes -= entry->bytes;
	dlist_delete(&entry->node);
	MemoryContextDelete(entry->context);
	hash_search(Cache.entries, &uuid, HASH_REMOVE, NULL);
}

/* Evicts until so many bytes more would fit; `keep` stays (NULL: nothing need stay). */
static void
MakeRoom(uint64 bytes, const CacheEntry *keep)
{
	uint64		limit = (uint64) GucCacheSizeKb * KB;

	while (!dlist_is_empty(&Cache.by_use) && (bytes > limit || Cache.bytes > limit - bytes))
	{
		CacheEntry *oldest = dlist_tail_element(CacheEntry, node, &Cache.by_use);

		if (oldest == keep)
			break;
		Evict(oldest);
	}
}

/*
 * Folded towers may take half of what the model itself leaves of the cache, so
 * that two models used in turn do not drive each other out.
 */
static size_t
FoldLimit(const mml_model *model)
{
	uint64		limit = (uint64) GucCacheSizeKb * KB;
	uint64		taken = mml_model_bytes(model);

	return taken < limit ? (size_t) ((limit - taken) / 2) : 0;
}

/* Decodes a version in the given context. */
static CachedModel *
LoadModel(const ModelVersion *version, Snapshot snapshot, MemoryContext context)
{
	CachedModel *cached = MemoryContextAllocZero(context, sizeof(CachedModel));
	mml_model_facts facts;

	cached->uuid = version->uuid;
	cached->host = BridgeCreateHost(context, 0);
	cached->model = ModelStoreLoad(cached->host, version, snapshot);
	mml_model_get_facts(cached->model, &facts);
	BridgeCheck(cached->host, mml_scorer_create(cached->host, cached->model, facts.served, 1,
												FoldLimit(cached->model), &cached->one));
	return cached;
}

/*
 * Until the model is complete, its context belongs to the statement: an error
 * half-way leaves nothing behind.
 */
static CacheEntry *
AddEntry(const ModelVersion *version, Snapshot snapshot)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora model", ALLOCSET_DEFAULT_SIZES);
	CachedModel *cached = LoadModel(version, snapshot, context);
	CacheEntry *entry = hash_search(Cache.entries, &version->uuid, HASH_ENTER, NULL);

	MemoryContextSetParent(context, Cache.context);
	entry->model = cached;
	entry->context = context;
	entry->bytes = 0;
	dlist_push_head(&Cache.by_use, &entry->node);
	return entry;
}

/* The decoded model of a version; good until the next call. */
CachedModel *
ModelCacheGet(const ModelVersion *version, Snapshot snapshot)
{
	CacheEntry *entry = hash_search(Cache.entries, &version->uuid, HASH_FIND, NULL);

	if (entry != NULL)
	{
		dlist_move_head(&Cache.by_use, &entry->node);
		Recount(entry);
	}
	else
	{
		RecountAll();
		MakeRoom(version->bytes, NULL);
		entry = AddEntry(version, snapshot);
		Recount(entry);
	}
	MakeRoom(0, entry);
	return entry->model;
}

uint64
ModelCacheGeneration(void)
{
	return Cache.generation;
}
