package sqltext

import "github.com/DataDog/go-sqllexer"

// doubleQuoted says what text in double quotes is.
type doubleQuoted int

const (
	quotesName    doubleQuoted = iota // a name, as the standard says
	quotesLiteral                     // a string
	quotesEither                      // a name where only a name can stand, else perhaps a string
)

// nesting says what a comment's beginning within a comment does.
type nesting int

const (
	nestRefused nesting = iota // servers or versions differ
	nestIgnored                // the first end ends all
	nestCounted                // each beginning needs its end
)

// A reading says in which quotes a backslash takes away the meaning of what follows. Servers have settings for it
// (standard_conforming_strings, NO_BACKSLASH_ESCAPES, ANSI_QUOTES), which a client's text does not tell.
type reading struct {
	single, double bool
}

// A dialect is what decides where a literal begins and ends.
type dialect struct {
	readings      []reading // the default of its servers first
	double        doubleQuoted
	comments      nesting
	backticks     bool   // `name`
	brackets      bool   // [name]
	escapeStrings bool   // E'…'
	quoteStrings  bool   // q'[…]'
	tripleQuotes  bool   // may have '''…''', which is refused
	dollarQuotes  bool   // $tag$…$tag$
	dollarMoney   bool   // $12.50 is a number, not a parameter
	dollarNames   bool   // $name is a parameter or a variable
	numbered      bool   // ?1 and :1 are parameters
	hashComment   bool   // # to the end of the line
	hashOperator  bool   // #, #>, #>>
	codeComments  bool   // /*! code */
	spacedDashes  bool   // -- needs a space to begin a comment
	slashComment  bool   // // to the end of the line
	inName        string // bytes in names besides letters, digits, _ and $; they may begin one, too
	lexer         sqllexer.DBMSType
}

// dialectOf returns the dialect of a db.system.name; for one that it does not know, a dialect that takes little for granted.
//
// Sources: https://www.postgresql.org/docs/current/sql-syntax-lexical.html, https://dev.mysql.com/doc/refman/8.4/en/literals.html,
// https://mariadb.com/kb/en/comment-syntax/, https://www.sqlite.org/lang_expr.html, https://www.sqlite.org/quirks.html#dblquote,
// https://learn.microsoft.com/sql/t-sql/data-types/constants-transact-sql,
// https://docs.oracle.com/en/database/oracle/oracle-database/23/sqlrf/Literals.html, https://clickhouse.com/docs/sql-reference/syntax,
// https://docs.snowflake.com/en/sql-reference/data-types-text.
func dialectOf(system string) dialect {
	plain := []reading{{}}
	switch system {
	case "postgresql", "cockroachdb", "aws.redshift":
		return dialect{
			readings: []reading{{}, {single: true}}, comments: nestCounted, escapeStrings: true, dollarQuotes: true, hashOperator: true,
			lexer: sqllexer.DBMSPostgres,
		}
	case "mysql", "mariadb":
		return dialect{
			readings: []reading{{single: true, double: true}, {}, {single: true}}, double: quotesLiteral, backticks: true, hashComment: true,
			codeComments: true, spacedDashes: true, lexer: sqllexer.DBMSMySQL,
		}
	case "sqlite":
		return dialect{readings: plain, double: quotesEither, comments: nestIgnored, backticks: true, brackets: true, numbered: true, dollarNames: true}
	case "microsoft.sql_server":
		return dialect{
			readings: plain, double: quotesEither, comments: nestCounted, brackets: true, numbered: true, dollarMoney: true, dollarNames: true,
			inName: "#@", lexer: sqllexer.DBMSSQLServer,
		}
	case "oracle.db":
		return dialect{readings: plain, comments: nestIgnored, quoteStrings: true, numbered: true, inName: "#", lexer: sqllexer.DBMSOracle}
	case "clickhouse":
		return dialect{readings: []reading{{single: true, double: true}}, backticks: true, dollarQuotes: true}
	case "snowflake":
		return dialect{readings: []reading{{single: true}}, dollarQuotes: true, numbered: true, slashComment: true, lexer: sqllexer.DBMSSnowflake}
	case "trino":
		return dialect{readings: plain}
	}
	return dialect{
		readings: []reading{{}, {single: true}, {single: true, double: true}}, double: quotesEither, backticks: true, tripleQuotes: true,
		dollarQuotes: true,
	}
}
