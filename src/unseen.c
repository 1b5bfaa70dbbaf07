/*
 * unseen.c - says what of a source's rows a model has never seen: domains, and
 * values of features.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "domain_list.h"

#define MOST_SHOWN 5

static bool
IsStranger(const mml_model *model, const ListedDomain *domain)
{
	return !mml_model_knows_domain(model, domain->bytes, domain->length);
}

void
UnseenDomains(const mml_model *model, const DomainList *list, const int64 *rows)
{
	StringInfoData names;
	int64		n_rows = 0;
	int			n = 0;
	int			i;

	initStringInfo(&names);
	for (i = 0; i < list->n; i++)
	{
		if (!IsStranger(model, &list->names[i]))
			continue;
		if (n < MOST_SHOWN)
			appendStringInfo(&names, "%s\"%s\"", n == 0 ? "" : ", ", list->names[i].bytes);
		n_rows += rows[i];
		n++;
	}
	if (n > MOST_SHOWN)
		appendStringInfo(&names, " and %d more", n - MOST_SHOWN);
	if (n > 0)
		ereport(NOTICE, (errmsg_plural(INT64_FORMAT " row is of a domain that the model does not know",
									   INT64_FORMAT " rows are of domains that the model does not know",
									   (unsigned long) n_rows, n_rows),
						 errdetail_plural("Domain %s.", "Domains %s.", n, names.data)));
}

void
UnseenValues(const mml_model *model, const uint64 *counts)
{
	StringInfoData parts;
	uint64		total = 0;
	int			n = 0;
	int			i;

	initStringInfo(&parts);
	for (i = 0; i < mml_model_features(model); i++)
	{
		mml_field_spec spec;

		if (counts[i] == 0)
			continue;
		mml_model_feature(model, i, &spec);
		if (n < MOST_SHOWN)
			appendStringInfo(&parts, "%s\"%s\" " UINT64_FORMAT, n == 0 ? "" : ", ", spec.name, counts[i]);
		total += counts[i];
		n++;
	}
	if (n > MOST_SHOWN)
		appendStringInfo(&parts, " and %d more features", n - MOST_SHOWN);
	if (n > 0)
		ereport(NOTICE, (errmsg_plural("the model does not know " UINT64_FORMAT " value",
									   "the model does not know " UINT64_FORMAT " values",
									   (unsigned long) total, total),
						 errdetail("By feature: %s.", parts.data)));
}

void
UnseenRows(int64 n_rows)
{
	if (n_rows > 0)
		ereport(NOTICE, (errmsg_plural(INT64_FORMAT " row was left out because its label or domain is NULL",
									   INT64_FORMAT " rows were left out because label or domain is NULL",
									   (unsigned long) n_rows, n_rows)));
}
