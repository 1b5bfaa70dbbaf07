/*
 * html.c - text, numbers and tables of an HTML page, see html.h.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"

#include "html.h"

#define REPLACEMENT 0xFFFD		/* stands for what is no character */
#define ELLIPSIS "&#x2026;"

/* ----------------------------------------------------------------------- text */

/* The text in UTF-8, as far as that is known. */
static const char *
AsUtf8(const char *text)
{
	if (GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII)
		return text;
	return pg_server_to_any(text, (int) strlen(text), PG_UTF8);
}

/* The next character; a byte that begins none is the replacement. */
static pg_wchar
NextCharacter(const char **text)
{
	const unsigned char *bytes = (const unsigned char *) *text;
	int			length = pg_encoding_mblen(PG_UTF8, *text);

	if (strnlen(*text, length) < (Size) length || !pg_utf8_islegal(bytes, length))
	{
		(*text)++;
		return REPLACEMENT;
	}
	*text += length;
	return utf8_to_unicode(bytes);
}

/* Neither shown nor harmless: controls, and those that turn the direction of what follows. */
static bool
IsControl(pg_wchar character)
{
	return (character < 0x20 && character != '\t' && character != '\n') || (character >= 0x7F && character < 0xA0) ||
		(character >= 0x202A && character <= 0x202E) || (character >= 0x2066 && character <= 0x2069) ||
		(character & 0xFFFE) == 0xFFFE;
}

static void
PutCharacter(StringInfo page, pg_wchar character)
{
	switch (character)
	{
		case '<':
			appendStringInfoString(page, "&lt;");
			break;
		case '>':
			appendStringInfoString(page, "&gt;");
			break;
		case '&':
			appendStringInfoString(page, "&amp;");
			break;
		case '"':
			appendStringInfoString(page, "&quot;");
			break;
		case '\'':
			appendStringInfoString(page, "&#39;");
			break;
		default:
			if (IsControl(character))
				character = REPLACEMENT;
			if (character < 0x7F)
				appendStringInfoCharMacro(page, (char) character);
			else
				appendStringInfo(page, "&#x%X;", (unsigned) character);
			break;
	}
}

bool
HtmlClipped(StringInfo page, const char *text, int characters)
{
	const char *rest = AsUtf8(text);

	for (; *rest != '\0' && characters > 0; characters--)
		PutCharacter(page, NextCharacter(&rest));
	if (*rest != '\0')
		appendStringInfoString(page, ELLIPSIS);
	return *rest != '\0';
}

/* Room for a character in most fonts, rather too much. */
static double
WidthOf(pg_wchar character)
{
	if (character >= 0x1100)
		return 1.05;			/* East Asian, symbols */
	if (character >= 0x80)
		return 0.75;
	if (strchr("MWmw@%#<>&=+~", (int) character) != NULL)
		return 0.99;
	if (strchr(" .,:;!'|ijlI", (int) character) != NULL)
		return 0.36;
	return character >= 'A' && character <= 'Z' ? 0.76 : 0.65;
}

/* Names that begin alike often end differently: what is left out is their middle. */
void
HtmlFitted(StringInfo page, const char *text, double width)
{
	const char *rest = AsUtf8(text);
	pg_wchar   *characters = palloc(Max(strlen(rest), 1) * sizeof(pg_wchar));
	double		taken = 0.0;
	int			n = 0;
	int			head = 0;
	int			tail;

	while (*rest != '\0')
	{
		characters[n] = NextCharacter(&rest);
		taken += WidthOf(characters[n++]);
	}
	tail = n;
	if (taken > width)
	{
		double		left = width - 1.0; /* the ellipsis */

		while (head < n && left - WidthOf(characters[head]) >= 0.4 * width)
			left -= WidthOf(characters[head++]);
		while (tail > head && left - WidthOf(characters[tail - 1]) >= 0.0)
			left -= WidthOf(characters[--tail]);
	}
	else
		head = n;
	for (int i = 0; i < head; i++)
		PutCharacter(page, characters[i]);
	if (head < tail)
		appendStringInfoString(page, ELLIPSIS);
	for (int i = tail; i < n; i++)
		PutCharacter(page, characters[i]);
	pfree(characters);
}

void
HtmlText(StringInfo page, const char *text)
{
	(void) HtmlClipped(page, text, PG_INT32_MAX);
}

void
HtmlName(StringInfo page, const char *name)
{
	appendStringInfoString(page, "<bdi>");
	HtmlFitted(page, name, HTML_NAME_WIDTH);
	appendStringInfoString(page, "</bdi>");
}

/* -------------------------------------------------------------------- numbers */

char *
HumanCount(int64 count)
{
	char	   *digits = psprintf(INT64_FORMAT, count);
	int			n_digits = (int) strlen(digits);
	StringInfoData human;

	initStringInfo(&human);
	for (int i = 0; i < n_digits; i++)
	{
		if (i > 0 && (n_digits - i) % 3 == 0 && digits[i - 1] != '-')
			appendStringInfoChar(&human, ',');
		appendStringInfoChar(&human, digits[i]);
	}
	return human.data;
}

char *
HumanFigure(double figure, int decimals)
{
	return isfinite(figure) ? psprintf("%.*f", decimals, figure) : pstrdup("-");
}

char *
HumanDifference(double difference, int decimals)
{
	return isfinite(difference) ? psprintf("%+.*f", decimals, difference) : pstrdup("-");
}

char *
HumanShare(double share)
{
	return isfinite(share) ? psprintf("%.1f%%", 100.0 * share) : pstrdup("-");
}

char *
HumanSeconds(double seconds)
{
	if (!isfinite(seconds))
		return pstrdup("-");
	if (seconds < 60.0)
		return psprintf("%.1f s", seconds);
	if (seconds < 3600.0)
		return psprintf("%d min %d s", (int) seconds / 60, (int) seconds % 60);
	return psprintf("%.0f h %d min", floor(seconds / 3600.0), (int) fmod(seconds / 60.0, 60.0));
}

char *
HumanBytes(int64 bytes)
{
	static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
	double		figure = (double) bytes;
	int			unit = 0;

	while (figure >= 1000.0 && unit < (int) lengthof(units) - 1)
	{
		figure /= 1000.0;
		unit++;
	}
	return psprintf("%.*f %s", unit == 0 || figure >= 100.0 ? 0 : 1, figure, units[unit]);
}

/* --------------------------------------------------------------------- tables */

void
HtmlTableBegin(StringInfo page, const char *caption)
{
	appendStringInfo(page, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s\"><table><caption>%s</caption>"
					 "<thead><tr>", caption, caption);
}

void
HtmlColumn(StringInfo page, const char *title, bool is_number)
{
	appendStringInfo(page, "<th scope=\"col\"%s>%s</th>", is_number ? " class=\"n\"" : "", title);
}

void
HtmlRowsBegin(StringInfo page)
{
	appendStringInfoString(page, "</tr></thead><tbody>\n");
}

void
HtmlRowBegin(StringInfo page)
{
	appendStringInfoString(page, "<tr>");
}

void
HtmlHeadCell(StringInfo page, const char *name)
{
	appendStringInfoString(page, "<th scope=\"row\">");
	HtmlName(page, name);
	appendStringInfoString(page, "</th>");
}

void
HtmlNumberCell(StringInfo page, const char *number)
{
	appendStringInfo(page, "<td class=\"n\">%s</td>", number);
}

void
HtmlTextCell(StringInfo page, const char *text)
{
	appendStringInfoString(page, "<td>");
	HtmlName(page, text);
	appendStringInfoString(page, "</td>");
}

void
HtmlRowEnd(StringInfo page)
{
	appendStringInfoString(page, "</tr>\n");
}

void
HtmlTableEnd(StringInfo page)
{
	appendStringInfoString(page, "</tbody></table></div>\n");
}
