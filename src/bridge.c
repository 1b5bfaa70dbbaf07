/*
 * bridge.c - what the numeric core gets from PostgreSQL, and what PostgreSQL's
 * users get to hear from the core.
 *
 * The core's memory belongs to a memory context, so an error that jumps past
 * the core frees it.  The one table below maps a status of the core to the
 * error that is raised for it.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include <sys/mman.h>

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"

#include "moemlora.h"

#define HUGE_PAGE ((uintptr_t) 2 << 20)

typedef struct StatusError
{
	int			sqlstate;
	const char *message;		/* where the core left none */
	const char *hint;			/* the same; NULL: none */
} StatusError;

static const StatusError StatusErrors[] = {
	[MML_CANCELLED] = {
		.sqlstate = ERRCODE_QUERY_CANCELED,
		.message = "training was cancelled",
	},
	[MML_OUT_OF_MEMORY] = {
		.sqlstate = ERRCODE_OUT_OF_MEMORY,
		.message = "out of memory",
	},
	[MML_LIMIT] = {
		.sqlstate = ERRCODE_PROGRAM_LIMIT_EXCEEDED,
		.message = "a limit of moemlora is exceeded",
	},
	[MML_BAD_OPTION] = {
		.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
		.message = "invalid option",
	},
	[MML_BAD_DATA] = {
		.sqlstate = ERRCODE_DATA_EXCEPTION,
		.message = "a value cannot be used",
	},
	[MML_BAD_MODEL] = {
		.sqlstate = ERRCODE_DATA_CORRUPTED,
		.message = "the stored model is damaged",
		.hint = "Train the model again, or restore it from a backup.",
	},
	[MML_UNKNOWN_DOMAIN] = {
		.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
		.message = "unknown domain",
	},
	[MML_DIVERGED] = {
		.sqlstate = ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
		.message = "training diverged",
		.hint = "Lower the learning rate.",
	},
};

/*
 * Large pieces in large pages, where the system has them: a cancel gives the
 * memory back at once instead of page by page (60 ms per GB).
 */
static void
AskForHugePages(void *memory, size_t bytes)
{
#ifdef MADV_HUGEPAGE
	uintptr_t	first = TYPEALIGN(HUGE_PAGE, (uintptr_t) memory);
	uintptr_t	end = TYPEALIGN_DOWN(HUGE_PAGE, (uintptr_t) memory + bytes);

	if (memory != NULL && end > first)
		(void) madvise((void *) first, end - first, MADV_HUGEPAGE);
#endif
}

static void *
BridgeAllocate(void *self, size_t bytes)
{
	void	   *memory;

	if (bytes > MaxAllocHugeSize)
		return NULL;
	memory = MemoryContextAllocExtended((MemoryContext) self, bytes, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	AskForHugePages(memory, bytes);
	return memory;
}

static void
BridgeRelease(void *self, void *memory)
{
	(void) self;
	pfree(memory);
}

/*
 * A cancel leaves by longjmp.  InterruptPending is no reason to stop: it is set
 * for harmless signals too.
 */
static bool
BridgePoll(void *self)
{
	(void) self;
	CHECK_FOR_INTERRUPTS();
	return false;
}

static double
BridgeSeconds(void *self)
{
	instr_time	now;

	(void) self;
	INSTR_TIME_SET_CURRENT(now);
	return INSTR_TIME_GET_DOUBLE(now);
}

/* Who wants reports sets `report` afterwards. */
mml_host *
BridgeCreateHost(MemoryContext context, Size memory_limit)
{
	mml_host   *host = MemoryContextAllocZero(context, sizeof(mml_host));

	host->self = context;
	host->allocate = BridgeAllocate;
	host->release = BridgeRelease;
	host->poll = BridgePoll;
	host->seconds = BridgeSeconds;
	host->memory_limit = memory_limit;
	return host;
}

static const StatusError *
StatusErrorOf(mml_status status)
{
	if ((int) status <= MML_OK || (int) status >= (int) lengthof(StatusErrors))
		elog(ERROR, "unknown status %d of the numeric core", (int) status);
	return &StatusErrors[status];
}

/*
 * Inside ereport(): the hint of the core, else that of the setting in the way,
 * else that of the status.  Of the core's limits only the one on memory comes
 * with a detail, the bytes needed and allowed.
 */
static int
HostHint(const mml_host *host, mml_status status)
{
	const char *hint = StatusErrors[status].hint;

	if (host->error.hint[0] != '\0')
		return errhint("%s", host->error.hint);
	if (status == MML_LIMIT && host->memory_limit != 0 && host->error.detail[0] != '\0')
		return errhint("Raise moemlora.training_memory, or take fewer rows.");
	return hint == NULL ? 0 : errhint("%s", hint);
}

/*
 * The core cuts long names as UTF-8, and stored bytes may hold names from
 * anywhere: what is no text in the database's encoding becomes question marks.
 */
static void
MakeValid(char *text)
{
	int			left = (int) strlen(text);

	while (left > 0)
	{
		int			length = pg_encoding_verifymbchar(GetDatabaseEncoding(), text, left);

		if (length < 1)
		{
			*text = '?';
			length = 1;
		}
		text += length;
		left -= length;
	}
}

static void
MakeErrorValid(mml_error *error)
{
	MakeValid(error->message);
	MakeValid(error->detail);
	MakeValid(error->hint);
}

static const char *
HostMessage(const mml_host *host, const StatusError *error)
{
	return host->error.message[0] != '\0' ? host->error.message : error->message;
}

/* Returns when status is MML_OK, else raises the host's error. */
void
BridgeCheck(mml_host *host, mml_status status)
{
	const StatusError *error;

	if (likely(status == MML_OK))
		return;
	error = StatusErrorOf(status);
	MakeErrorValid(&host->error);
	ereport(ERROR, (errcode(error->sqlstate),
					errmsg_internal("%s", HostMessage(host, error)),
					host->error.detail[0] == '\0' ? 0 : errdetail_internal("%s", host->error.detail),
					HostHint(host, status)));
}

/* The place of a value, as a sentence after the detail of the core. */
static char *
ValueDetail(const mml_host *host, int64 row, const char *column)
{
	const char *space = host->error.detail[0] == '\0' ? "" : " ";

	if (row > 0 && column != NULL)
		return psprintf("%s%sRow " INT64_FORMAT ", column \"%s\".", host->error.detail, space, row, column);
	if (row > 0)
		return psprintf("%s%sRow " INT64_FORMAT ".", host->error.detail, space, row);
	if (column != NULL)
		return psprintf("%s%sColumn \"%s\".", host->error.detail, space, column);
	return pstrdup(host->error.detail);
}

/* The same as BridgeCheck for a value; row from 1 (0: no row to name), column may be NULL. */
void
BridgeCheckValue(mml_host *host, mml_status status, int64 row, const char *column)
{
	const StatusError *error;
	char	   *detail;

	if (likely(status == MML_OK))
		return;
	error = StatusErrorOf(status);
	MakeErrorValid(&host->error);
	detail = ValueDetail(host, row, column);
	ereport(ERROR, (errcode(error->sqlstate),
					errmsg_internal("%s", HostMessage(host, error)),
					detail[0] == '\0' ? 0 : errdetail_internal("%s", detail),
					HostHint(host, status)));
}
