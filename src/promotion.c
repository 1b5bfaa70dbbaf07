/*
 * promotion.c - whether a version that was trained again becomes the current
 * one: only if it is no worse than that on the same validation rows.
 *
 * Which rows validate is known when all have been read.  So the current version
 * scores every row as it is read, which takes a few hundredths of what training
 * on it will, and the scores of the validation rows are kept.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "promotion.h"

#define FIRST_ROWS 4096			/* that there is room for at first */
#define LEAST_OF_CLASS 10		/* validation rows of each class by which a domain can be judged */
#define LOGLOSS_TOLERANCE 20	/* times the tolerance, as a share: who ranks as well may be far off as a probability */

struct Promotion
{
	mml_host   *host;
	MemoryContext context;
	const TrainOptions *options;

	/* The current version; model is NULL where nothing is compared */
	mml_model  *current;
	int32		version;
	mml_scorer *scorer;
	Binding    *binding;

	/* Rows as they are read */
	Size		n_rows;
	Size		held;			/* that there is room for */
	float	   *logits;			/* [held] */
	Size		waiting[MML_SCORER_ROWS];	/* numbers of the rows in the scorer */
	int			n_waiting;

	/* Then: those that validate, in any order */
	Size		n_valid;
	float	   *labels;			/* [n_valid] */
	int		   *domains;		/* [n_valid] index into mml_model_domain() */
};

/* What two versions are compared by.  NaN: not defined. */
typedef struct Quality
{
	double		auc;
	double		logloss;
} Quality;

/* A set of validation rows in which the new version is worse, the worst so far. */
typedef struct Verdict
{
	int			n_worse;		/* domains */
	double		largest;		/* difference */
	const char *domain;
	Quality		now;
	Quality		then;
} Verdict;

/* ----------------------------------------------------------------------- rows */

Promotion *
PromotionCreate(mml_host *host, const TrainOptions *options)
{
	Promotion  *promotion = palloc0(sizeof(Promotion));

	promotion->host = host;
	promotion->context = CurrentMemoryContext;
	promotion->options = options;
	return promotion;
}

bool
PromotionCompares(const Promotion *promotion)
{
	return promotion->options->promote == PROMOTE_IF_BETTER;
}

void
PromotionSetCurrent(Promotion *promotion, mml_model *current, int32 version)
{
	mml_model_facts facts;

	mml_model_get_facts(current, &facts);
	promotion->current = current;
	promotion->version = version;
	BridgeCheck(promotion->host, mml_scorer_create_blocks(promotion->host, current, facts.served, SCORER_BLOCK_BYTES,
												   (size_t) GucCacheSizeKb * 1024, &promotion->scorer));
}

void
PromotionBind(Promotion *promotion, TupleDesc desc)
{
	if (promotion->current != NULL)
		promotion->binding = BindingForColumns(desc, promotion->current);
}

/* Room for more rows, within moemlora.training_memory. */
static void
Grow(Promotion *promotion)
{
	mml_host   *host = promotion->host;
	Size		held = Max(FIRST_ROWS, promotion->held * 2);
	Size		bytes = (held - promotion->held) * sizeof(float);

	if (host->memory_limit > 0 && host->memory_used + bytes > host->memory_limit)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("comparing with the current version needs more memory than moemlora.training_memory allows"),
						errdetail("%zu kB are needed so far, %zu kB are allowed.", (host->memory_used + bytes) / 1024 + 1,
								  host->memory_limit / 1024),
						errhint("Raise moemlora.training_memory, or give \"promote\": \"never\" and compare with "
								"moemlora_evaluate().")));
	host->memory_used += bytes;
	promotion->logits = promotion->logits == NULL ?
		MemoryContextAllocHuge(promotion->context, held * sizeof(float)) :
		repalloc_huge(promotion->logits, held * sizeof(float));
	promotion->held = held;
}

/* Scores the rows that wait in the scorer. */
static void
ScoreBlock(Promotion *promotion)
{
	float		logits[MML_SCORER_ROWS];
	int			i;

	if (promotion->n_waiting == 0)
		return;
	BridgeCheck(promotion->host, mml_score_logits(promotion->scorer, logits));
	for (i = 0; i < promotion->n_waiting; i++)
		promotion->logits[promotion->waiting[i]] = logits[i];
	promotion->n_waiting = 0;
}

/* A domain that the current version refuses (unknown_domain = error) is one of which it knows nothing: 1 : 1. */
void
PromotionPutRow(Promotion *promotion, TupleTableSlot *slot, const mml_row_facts *facts, int64 row)
{
	mml_rows   *rows;
	mml_status	status;

	if (promotion->current == NULL)
		return;
	if (promotion->n_rows == promotion->held)
		Grow(promotion);
	BindingBeginRow(promotion->binding, slot->tts_values, slot->tts_isnull);
	rows = mml_scorer_rows(promotion->scorer);
	BridgeCheck(promotion->host, mml_rows_begin(rows));
	BindingPutValues(promotion->binding, promotion->host, rows, slot->tts_values, slot->tts_isnull, row);
	status = mml_rows_end_scoring(rows, facts->domain, facts->domain_length);
	if (status == MML_OK)
		promotion->waiting[promotion->n_waiting++] = promotion->n_rows;
	else if (status == MML_UNKNOWN_DOMAIN)
		promotion->logits[promotion->n_rows] = 0.0f;
	else
		BridgeCheckValue(promotion->host, status, row, NULL);
	promotion->n_rows++;
	if (mml_rows_full(mml_scorer_rows(promotion->scorer)))
		ScoreBlock(promotion);
}

/* Keeps the validation rows, and nothing of the current version. */
void
PromotionTakeRows(Promotion *promotion, const mml_rows *rows)
{
	MemoryContext caller = MemoryContextSwitchTo(promotion->context);
	float		label;
	int			domain;
	Size		row;
	Size		n = 0;

	if (promotion->current == NULL)
		return;
	ScoreBlock(promotion);
	mml_scorer_free(promotion->scorer);
	if (!promotion->options->warm_start)
		mml_model_free(promotion->current);
	for (row = 0; row < promotion->n_rows; row++)
		promotion->n_valid += mml_rows_validates(rows, row, &label, &domain);
	promotion->labels = palloc_extended(Max(promotion->n_valid, 1) * sizeof(float), MCXT_ALLOC_HUGE);
	promotion->domains = palloc_extended(Max(promotion->n_valid, 1) * sizeof(int), MCXT_ALLOC_HUGE);
	for (row = 0; row < promotion->n_rows; row++)
	{
		if (!mml_rows_validates(rows, row, &label, &domain))
			continue;
		promotion->logits[n] = promotion->logits[row];
		promotion->labels[n] = label;
		promotion->domains[n++] = domain;
	}
	if (n > 0)
		promotion->logits = repalloc_huge(promotion->logits, n * sizeof(float));
	promotion->host->memory_used += n * (2 * sizeof(float) + sizeof(int));
	promotion->host->memory_used -= promotion->held * sizeof(float);
	MemoryContextSwitchTo(caller);
}

/* ------------------------------------------------------------------- decision */

/* Of the current version on the rows order[0 .. n-1]; scratch: [n] each. */
static Quality
QualityThen(const Promotion *promotion, const Size *order, Size n, double *scores, float *labels)
{
	Quality		quality = {.auc = NAN, .logloss = 0.0};
	Size		i;

	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		scores[i] = promotion->logits[order[i]];
		labels[i] = promotion->labels[order[i]];
		quality.logloss += mml_logloss_of(1.0 / (1.0 + exp(-scores[i])), labels[i]) / (double) n;
	}
	BridgeCheck(promotion->host, mml_auc(promotion->host, scores, labels, n, &quality.auc));
	return quality;
}

/* Of the new version on the validation rows of a domain, as it is served. */
static Quality
QualityNow(const mml_domain *domain, mml_mode served)
{
	Quality		quality = {.logloss = NAN};

	quality.auc = domain->first_expert < 0 || served == MML_MODE_BACKBONE ? domain->backbone_auc :
		served == MML_MODE_OWN ? domain->own_auc : domain->gate_auc;
	return quality;
}

static bool
HasAuc(const Quality *now, const Quality *then)
{
	return !isnan(now->auc) && !isnan(then->auc);
}

/* By how much the new version is worse; NaN where the two cannot be compared. */
static double
Worse(const Quality *now, const Quality *then)
{
	return HasAuc(now, then) ? then->auc - now->auc : now->logloss - then->logloss;
}

/* The rows in the order of their domains.  starts: [n_domains + 1]. */
static Size *
SortRows(const Promotion *promotion, int n_domains, Size *starts)
{
	Size	   *order = palloc_extended(promotion->n_valid * sizeof(Size), MCXT_ALLOC_HUGE);
	Size	   *next = palloc_extended((n_domains + 1) * sizeof(Size), MCXT_ALLOC_HUGE);
	Size		row;
	int			d;

	memset(starts, 0, (n_domains + 1) * sizeof(Size));
	for (row = 0; row < promotion->n_valid; row++)
		starts[promotion->domains[row] + 1]++;
	for (d = 0; d < n_domains; d++)
		starts[d + 1] += starts[d];
	memcpy(next, starts, (n_domains + 1) * sizeof(Size));
	for (row = 0; row < promotion->n_valid; row++)
		order[next[promotion->domains[row]]++] = row;
	return order;
}

/* Whether rows have enough of both classes to say which version is better: a handful would keep back every other one. */
static bool
HasBothClasses(const float *labels, Size n)
{
	Size		n_positive = 0;
	Size		i;

	for (i = 0; i < n; i++)
		n_positive += labels[i] > 0.5f;
	return n_positive >= LEAST_OF_CLASS && n - n_positive >= LEAST_OF_CLASS;
}

/* Compares domain by domain; returns the quality of the current version on all rows. */
static Quality
CompareDomains(const Promotion *promotion, const mml_model *model, mml_mode served, Verdict *verdict)
{
	int			n_domains = mml_model_domains(model);
	Size	   *starts = palloc_extended((n_domains + 1) * sizeof(Size), MCXT_ALLOC_HUGE);
	Size	   *order = SortRows(promotion, n_domains, starts);
	double	   *scores = palloc_extended(promotion->n_valid * sizeof(double), MCXT_ALLOC_HUGE);
	float	   *labels = palloc_extended(promotion->n_valid * sizeof(float), MCXT_ALLOC_HUGE);
	int			d;

	for (d = 0; d < n_domains; d++)
	{
		const mml_domain *domain = mml_model_domain(model, d);
		Quality		now = QualityNow(domain, served);
		Quality		then = QualityThen(promotion, order + starts[d], starts[d + 1] - starts[d], scores, labels);
		double		worse = Worse(&now, &then);

		if (!(worse > promotion->options->tolerance) || !HasBothClasses(labels, starts[d + 1] - starts[d]))
			continue;
		if (verdict->n_worse++ == 0 || worse > verdict->largest)
		{
			verdict->largest = worse;
			verdict->domain = domain->name;
			verdict->now = now;
			verdict->then = then;
		}
	}
	return QualityThen(promotion, order, promotion->n_valid, scores, labels);
}

/* "logloss 0.6022 against 0.5731 of version 3" */
static char *
Comparison(const Promotion *promotion, const char *what, double now, double then)
{
	return psprintf("%s %.4f against %.4f of version %d", what, now, then, promotion->version);
}

static char *
ComparisonByAuc(const Promotion *promotion, const Quality *now, const Quality *then)
{
	return HasAuc(now, then) ? Comparison(promotion, "AUC", now->auc, then->auc) :
		Comparison(promotion, "logloss", now->logloss, then->logloss);
}

static void
Compare(const Promotion *promotion, const mml_model *model, ModelDecision *decision)
{
	Verdict		verdict = {0};
	mml_model_facts facts;
	Quality		now;
	Quality		then;

	mml_model_get_facts(model, &facts);
	now.auc = facts.valid_auc;
	now.logloss = facts.valid_logloss;
	then = CompareDomains(promotion, model, facts.served, &verdict);
	decision->against = promotion->version;
	decision->reason = ComparisonByAuc(promotion, &now, &then);
	if (Worse(&now, &then) > promotion->options->tolerance)
		decision->is_kept_back = true;
	else if (now.logloss > then.logloss * (1.0 + LOGLOSS_TOLERANCE * promotion->options->tolerance))
	{
		decision->is_kept_back = true;
		decision->reason = Comparison(promotion, "logloss", now.logloss, then.logloss);
	}
	else if (verdict.n_worse > 0)
	{
		decision->is_kept_back = true;
		decision->reason = psprintf("%s in domain \"%s\"", ComparisonByAuc(promotion, &verdict.now, &verdict.then),
									verdict.domain);
		if (verdict.n_worse > 1)
			decision->reason = psprintf("%s; %d domains are worse", decision->reason, verdict.n_worse);
	}
}

void
PromotionDecide(Promotion *promotion, const mml_model *model, ModelDecision *decision)
{
	decision->is_taken = true;
	switch (promotion->options->promote)
	{
		case PROMOTE_ALWAYS:
			decision->reason = "option promote is \"always\"";
			break;
		case PROMOTE_NEVER:
			decision->is_kept_back = true;
			decision->reason = "option promote is \"never\"";
			break;
		case PROMOTE_IF_BETTER:
			if (promotion->n_valid > 0)
				Compare(promotion, model, decision);
			else
			{
				decision->is_kept_back = true;
				decision->reason = "no validation rows to compare on";
			}
			break;
	}
}

void
PromotionTell(const char *model_name, int32 version, const ModelDecision *decision)
{
	static const int levels[] = {NOTICE, LOG_SERVER_ONLY};
	int			i;

	for (i = 0; i < (int) lengthof(levels); i++)
	{
		if (decision->is_kept_back)
			ereport(levels[i], (errmsg("version %d of model \"%s\" was kept back: %s", version, model_name,
									   decision->reason),
								errhint("moemlora_promote() makes it current all the same.")));
		else
			ereport(levels[i], (errmsg("version %d of model \"%s\" is current: %s", version, model_name,
									   decision->reason)));
	}
}
