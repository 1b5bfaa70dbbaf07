/*
 * html.h - private to the files that make moemlora_report(): text, numbers and
 * tables of an HTML page.
 *
 * Whatever comes from outside (names, options, values, messages) goes through
 * HtmlText() or HtmlName().  The page is plain ASCII: other characters are
 * written as references, so it is read alike whatever the client's encoding.
 */
#ifndef MOEMLORA_HTML_H
#define MOEMLORA_HTML_H

#include "lib/stringinfo.h"		/* for StringInfo */

#include "moemlora.h"

/* Room for a name in a table, in ems. */
#define HTML_NAME_WIDTH 50.0

/* Text of anybody's, for content and attributes. */
extern void HtmlText(StringInfo page, const char *text);

/* The same, at most so many characters of it, which an ellipsis ends; returns whether that was so. */
extern bool HtmlClipped(StringInfo page, const char *text, int characters);

/* A name, its middle left out where it would be wider than so many ems, about: what a font makes of it nobody knows here. */
extern void HtmlFitted(StringInfo page, const char *text, double width);

/* A name apart from the text around it, whatever way it is written. */
extern void HtmlName(StringInfo page, const char *name);

/* Numbers as people read them, palloc'd; NaN: "-". */
extern char *HumanCount(int64 count);	/* 60,146 */
extern char *HumanFigure(double figure, int decimals);
extern char *HumanDifference(double difference, int decimals);	/* with its sign */
extern char *HumanShare(double share);	/* 34.1% */
extern char *HumanSeconds(double seconds);	/* 1 min 23 s */
extern char *HumanBytes(int64 bytes);	/* 3.4 MB */

/*
 * A table: begin with its caption (plain text of ours), columns, then rows of
 * cells.  The first cell of a row is its head.
 */
extern void HtmlTableBegin(StringInfo page, const char *caption);
extern void HtmlColumn(StringInfo page, const char *title, bool is_number);
extern void HtmlRowsBegin(StringInfo page);
extern void HtmlRowBegin(StringInfo page);
extern void HtmlHeadCell(StringInfo page, const char *name);
extern void HtmlNumberCell(StringInfo page, const char *number);
extern void HtmlTextCell(StringInfo page, const char *text);
extern void HtmlRowEnd(StringInfo page);
extern void HtmlTableEnd(StringInfo page);

#endif							/* MOEMLORA_HTML_H */
