/*
 * model_cache.c - decoded models of this session.
 *
 * A stored model is known by the uuid of its version, and the bytes of a version
 * never change; a model that came as a value by a digest of its lengths and
 * checksums: nothing here ever needs to be invalidated.  Each model lives in a
 * memory context of its own under "moemlora model cache".  When all models
 * together, with the towers that their scorers have folded, take more than
 * moemlora.cache_size, the least recently used ones leave; the one asked for
 * stays, and those that somebody holds.
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "moemlora.h"

#define KB ((uint64) 1024)

/* What the hash table holds. */
typedef struct CacheEntry
{
	ModelKey	key;			/* must be first */
	dlist_node	node;			/* in Cache.by_use */
	CachedModel *model;
	MemoryContext context;		/* all of the model's memory */
	uint64		bytes;			/* when it was last looked at */
	int			n_holds;		/* while there are any it stays */
} CacheEntry;

/* What is asked for, and where its bytes are. */
typedef struct Wanted
{
	ModelKey	key;
	uint64		bytes;
	const ModelVersion *version;	/* NULL: it is a value */
	Snapshot	snapshot;
	Datum		value;
} Wanted;

/* One hold, in the context that ends it. */
typedef struct Hold
{
	MemoryContextCallback callback;
	CacheEntry *entry;
} Hold;

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
	control.keysize = sizeof(ModelKey);
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
	entry->bytes = (uint64) mml_model_bytes(entry->model->model) + mml_scorer_bytes(entry->model->scorer);
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
	ModelKey	key = entry->key;

	Cache.generation++;
	Cache.bytes -= entry->bytes;
	dlist_delete(&entry->node);
	MemoryContextDelete(entry->context);
	hash_search(Cache.entries, &key, HASH_REMOVE, NULL);
}

/* The least recently used one that may leave, or NULL. */
static CacheEntry *
FindVictim(const CacheEntry *keep)
{
	dlist_iter	iter;

	dlist_reverse_foreach(iter, &Cache.by_use)
	{
		CacheEntry *entry = dlist_container(CacheEntry, node, iter.cur);

		if (entry != keep && entry->n_holds == 0)
			return entry;
	}
	return NULL;
}

/* Evicts until so many bytes more would fit; `keep` stays (NULL: nothing need stay). */
static void
MakeRoom(uint64 bytes, const CacheEntry *keep)
{
	uint64		limit = (uint64) GucCacheSizeKb * KB;
	CacheEntry *victim;

	while ((bytes > limit || Cache.bytes > limit - bytes) && (victim = FindVictim(keep)) != NULL)
		Evict(victim);
}

/* What the model itself leaves of the cache. */
static uint64
RoomBeside(const mml_model *model)
{
	uint64		limit = (uint64) GucCacheSizeKb * KB;
	uint64		taken = mml_model_bytes(model);

	return taken < limit ? limit - taken : 0;
}

/*
 * Gives the model a scorer in a context of its own in place of the one that it
 * has.  Until the scorer is complete the context belongs to the statement: an
 * error half-way leaves nothing behind.  Folded towers may take half of the
 * room beside the model, so that two models used in turn do not drive each
 * other out, and the buffers of a block an eighth.
 */
static void
SetScorer(CachedModel *cached, MemoryContext parent, bool is_wide)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora model scorer", ALLOCSET_DEFAULT_SIZES);
	mml_host   *host = BridgeCreateHost(context, 0);
	size_t		room = (size_t) RoomBeside(cached->model);
	mml_model_facts facts;
	mml_scorer *scorer;

	mml_model_get_facts(cached->model, &facts);
	BridgeCheck(host, is_wide ?
				mml_scorer_create_blocks(host, cached->model, facts.served, room / 8, room / 2, &scorer) :
				mml_scorer_create(host, cached->model, facts.served, 1, room / 2, &scorer));
	MemoryContextSetParent(context, parent);
	if (cached->scorer_context != NULL)
		MemoryContextDelete(cached->scorer_context);
	cached->scorer_context = context;
	cached->host = host;
	cached->scorer = scorer;
	cached->is_wide = is_wide;
}

/* Decodes a model in the given context. */
static CachedModel *
LoadModel(const Wanted *wanted, MemoryContext context)
{
	CachedModel *cached = MemoryContextAllocZero(context, sizeof(CachedModel));
	mml_host   *host = BridgeCreateHost(context, 0);

	cached->key = wanted->key;
	cached->model = wanted->version == NULL ? ModelValueLoad(host, wanted->value) :
		ModelStoreLoad(host, wanted->version, wanted->snapshot);
	SetScorer(cached, context, false);
	return cached;
}

/*
 * Until the model is complete, its context belongs to the statement: an error
 * half-way leaves nothing behind.
 */
static CacheEntry *
AddEntry(const Wanted *wanted)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora model", ALLOCSET_DEFAULT_SIZES);
	CachedModel *cached = LoadModel(wanted, context);
	CacheEntry *entry = hash_search(Cache.entries, &wanted->key, HASH_ENTER, NULL);

	MemoryContextSetParent(context, Cache.context);
	entry->model = cached;
	entry->context = context;
	entry->bytes = 0;
	entry->n_holds = 0;
	dlist_push_head(&Cache.by_use, &entry->node);
	return entry;
}

static CachedModel *
Get(const Wanted *wanted)
{
	CacheEntry *entry = hash_search(Cache.entries, &wanted->key, HASH_FIND, NULL);

	if (entry != NULL)
	{
		dlist_move_head(&Cache.by_use, &entry->node);
		Recount(entry);
	}
	else
	{
		RecountAll();
		MakeRoom(wanted->bytes, NULL);
		entry = AddEntry(wanted);
		Recount(entry);
	}
	MakeRoom(0, entry);
	return entry->model;
}

/* The decoded model of a version; good until the next call. */
CachedModel *
ModelCacheGet(const ModelVersion *version, Snapshot snapshot)
{
	Wanted		wanted = {.bytes = version->bytes, .version = version, .snapshot = snapshot};

	memcpy(wanted.key.bytes, version->uuid.data, sizeof(wanted.key.bytes));
	return Get(&wanted);
}

/* The decoded model that a value is; good until the next call. */
CachedModel *
ModelCacheGetValue(const mml_digest *digest, Datum value)
{
	Wanted		wanted = {.key.user = GetUserId(), .bytes = digest->total, .value = value};

	memcpy(wanted.key.bytes, digest->key, sizeof(wanted.key.bytes));
	return Get(&wanted);
}

static void
EndHold(void *hold)
{
	((Hold *) hold)->entry->n_holds--;
}

/* Keeps the model in the cache until `context` is reset or deleted. */
void
ModelCacheHold(CachedModel *cached, MemoryContext context)
{
	Hold	   *hold = MemoryContextAlloc(context, sizeof(Hold));

	hold->entry = hash_search(Cache.entries, &cached->key, HASH_FIND, NULL);
	hold->callback.func = EndHold;
	hold->callback.arg = hold;
	MemoryContextRegisterResetCallback(context, &hold->callback);
	hold->entry->n_holds++;
}

void
ModelCacheWiden(CachedModel *cached)
{
	CacheEntry *entry;

	if (cached->is_wide)
		return;
	entry = hash_search(Cache.entries, &cached->key, HASH_FIND, NULL);
	SetScorer(cached, entry->context, true);
	Recount(entry);
	MakeRoom(0, entry);
}

uint64
ModelCacheGeneration(void)
{
	return Cache.generation;
}
