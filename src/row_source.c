/*
 * row_source.c - the rows of "whatever can stand after FROM", pushed one by
 * one from the executor into a sink: no tuple table stands between.
 *
 * The text is parsed before it runs.  Only one item of a FROM clause passes,
 * so nothing can be smuggled in beside it, and what runs is a plain SELECT
 * with the rights of the current user.
 */
#include "postgres.h"

#include <ctype.h>

#include "common/keywords.h"
#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "tcop/dest.h"

#include "compat.h"
#include "moemlora.h"

/* A DestReceiver that hands every row to a sink. */
typedef struct SinkReceiver
{
	DestReceiver base;			/* must be first */
	const RowSourceSink *sink;
} SinkReceiver;

/* Points an error of the parser into the query, not into the caller's statement. */
static void
ReportQueryPosition(void *argument)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) argument);
	}
	errcontext("source of the rows");
}

/*
 * Whether the source is one pair of parentheses from end to end.  Such a
 * source is a subquery or a join and may always take an alias, and before
 * PostgreSQL 16 a subquery must have one.  *is_ended: a semicolon follows.
 */
static bool
IsParenthesized(const char *source, bool *is_ended)
{
	core_yy_extra_type extra;
	core_YYSTYPE value;
	YYLTYPE		location = 0;
	core_yyscan_t scanner = scanner_init(source, &extra, &ScanKeywords, ScanKeywordTokens);
	int			depth = 0;
	int			n_tokens = 0;
	bool		is_parenthesized = true;
	int			token;

	*is_ended = false;
	extra.escape_string_warning = false;
	while (is_parenthesized && (token = core_yylex(&value, &location, scanner)) != 0)
	{
		if (n_tokens++ > 0 && depth == 0)
		{
			is_parenthesized = false;	/* something follows the closing one */
			*is_ended = token == ';';
		}
		else if (token == '(')
			depth++;
		else if (token == ')')
			depth--;
		if (depth == 0 && n_tokens == 1)
			is_parenthesized = false;	/* it does not begin with one */
	}
	scanner_finish(scanner);
	return is_parenthesized && n_tokens > 0 && depth == 0;
}

/* SELECT * FROM one item, and nothing else. */
static bool
IsPlainSelect(List *statements)
{
	RawStmt    *raw;
	SelectStmt *select;

	if (list_length(statements) != 1)
		return false;
	raw = linitial_node(RawStmt, statements);
	if (raw->stmt_len != 0 || !IsA(raw->stmt, SelectStmt))
		return false;			/* a length: a semicolon follows */
	select = (SelectStmt *) raw->stmt;
	return select->op == SETOP_NONE &&
		list_length(select->targetList) == 1 &&
		list_length(select->fromClause) == 1 &&
		select->distinctClause == NIL &&
		select->intoClause == NULL &&
		select->whereClause == NULL &&
		select->groupClause == NIL &&
		select->havingClause == NULL &&
		select->windowClause == NIL &&
		select->valuesLists == NIL &&
		select->sortClause == NIL &&
		select->limitOffset == NULL &&
		select->limitCount == NULL &&
		select->lockingClause == NIL &&
		select->withClause == NULL;
}

/* Inside ereport(): what a source looks like. */
static int
SourceHint(const char *source)
{
	size_t		length = strlen(source);

	while (length > 0 && isspace((unsigned char) source[length - 1]))
		length--;
	if (length > 0 && source[length - 1] == ';')
		return errhint("Leave out the semicolon.");
	return errhint("Write a table or view name, or a query in parentheses, as in '(SELECT ... WHERE ...)'.");
}

/* Checks the source and returns the query over it. */
char *
RowSourceQuery(const char *source)
{
	ErrorContextCallback position;
	StringInfoData query;
	bool		is_ended;
	bool		is_plain = false;

	initStringInfo(&query);
	appendStringInfo(&query, "SELECT * FROM %s", source);
	position.callback = ReportQueryPosition;
	position.arg = unconstify(char *, source);
	position.previous = error_context_stack;
	error_context_stack = &position;
	if (IsParenthesized(source, &is_ended))
		appendStringInfo(&query, "%sAS moemlora_source", strstr(source, "--") != NULL ? "\n" : " ");
	position.arg = query.data;
	if (!is_ended)
		is_plain = IsPlainSelect(raw_parser(query.data, RAW_PARSE_DEFAULT));
	error_context_stack = position.previous;
	if (!is_plain)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("source must be one item that can stand after FROM"),
						errdetail("It is: %s", source),
						SourceHint(source)));
	return query.data;
}

static void
SinkStart(DestReceiver *receiver, int operation pg_attribute_unused(), TupleDesc desc)
{
	const RowSourceSink *sink = ((SinkReceiver *) receiver)->sink;

	sink->start(sink->self, desc);
}

static bool
SinkReceive(TupleTableSlot *slot, DestReceiver *receiver)
{
	const RowSourceSink *sink = ((SinkReceiver *) receiver)->sink;

	sink->row(sink->self, slot);
	return true;
}

static void
SinkNothing(DestReceiver *receiver pg_attribute_unused())
{
}

/* Runs the query with the current user's rights and pushes every row. */
void
RowSourceRun(const char *query, const RowSourceSink *sink)
{
	SinkReceiver receiver;
	SPIExecuteOptions options;
	int			code;

	memset(&receiver, 0, sizeof(receiver));
	receiver.base.receiveSlot = SinkReceive;
	receiver.base.rStartup = SinkStart;
	receiver.base.rShutdown = SinkNothing;
	receiver.base.rDestroy = SinkNothing;
	receiver.base.mydest = DestTuplestore;	/* DestNone would mean that nobody looks */
	receiver.sink = sink;
	memset(&options, 0, sizeof(options));
	options.read_only = true;
	options.dest = &receiver.base;
	SPI_connect();
	code = SPI_execute_extended(query, &options);
	if (code != SPI_OK_SELECT)
		elog(ERROR, "reading the source failed: %s", SPI_result_code_string(code));
	SPI_finish();
}
