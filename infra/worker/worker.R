# The R end of a worker: loads one model and answers frames, which come on file descriptor 3 and leave on 4.
#
# A frame is u32 length | u8 type | u64 id | u32 header length | header (JSON) | raw tensors, all little-endian. One request is
# answered after the other. It needs base R only.
#
# A model is an .rds file, whose object has a predict method, or a folder with a predict.R that defines
#   load_model(path)                gives the model; may be left out
#   predict_model(model, inputs)    inputs is a list of vectors and arrays by name; gives a vector, an array, a data frame, or a list of them by name
# and may set INPUTS and OUTPUTS, lists of list(name = , datatype = , shape = ).

HELLO <- 1L; LOAD <- 2L; READY <- 3L; INFER <- 4L; RESULT <- 5L; ERROR <- 6L; PING <- 9L; DRAIN <- 10L

input <- file("/dev/fd/3", "rb", raw = TRUE)
output <- file("/dev/fd/4", "wb", raw = TRUE)

# ---- bytes

# take reads exactly n bytes; NULL at the end of the pipe.
take <- function(n) {
  out <- raw(0)
  while (length(out) < n) {
    part <- readBin(input, "raw", n - length(out))
    if (length(part) == 0) return(NULL)
    out <- if (length(out)) c(out, part) else part
  }
  out
}

u32 <- function(b, at = 1L) sum(as.numeric(b[at:(at + 3L)]) * c(1, 256, 65536, 16777216))

bytes4 <- function(n) {
  out <- raw(4)
  for (i in 1:4) { out[i] <- as.raw(n %% 256); n <- n %/% 256 }
  out
}

receive <- function() {
  head <- take(17)
  if (is.null(head)) return(NULL)
  size <- u32(head) - 13
  header <- u32(head, 14L)
  body <- if (size > 0) take(size) else raw(0)
  if (is.null(body)) return(NULL)
  list(kind = as.integer(head[5]), id = head[6:13], header = body[seq_len(header)], raw = if (size > header) body[(header + 1):size] else raw(0))
}

send <- function(kind, header, parts = list(), id = raw(8)) {
  header <- charToRaw(enc2utf8(header))
  size <- 13 + length(header) + sum(vapply(parts, length, 1))
  writeBin(c(bytes4(size), as.raw(kind), id, bytes4(length(header)), header, unlist(parts)), output)
  flush(output)
}

# ---- JSON

quoted <- function(s) {
  s <- enc2utf8(as.character(s))
  s <- gsub("\\", "\\\\", s, fixed = TRUE)
  s <- gsub("\"", "\\\"", s, fixed = TRUE)
  s <- gsub("\n", "\\n", s, fixed = TRUE)
  s <- gsub("\t", "\\t", s, fixed = TRUE)
  s <- gsub("[[:cntrl:]]", " ", s)
  paste0("\"", s, "\"")
}

numbers <- function(v) paste0("[", paste(format(v, scientific = FALSE, trim = TRUE), collapse = ","), "]")

# parse reads JSON into lists, texts, numbers and logicals.
parse <- function(b) {
  b <- as.integer(b)
  at <- 1L
  blank <- function() while (at <= length(b) && b[at] %in% c(32L, 9L, 10L, 13L)) at <<- at + 1L
  text <- function() {
    out <- character(0)
    start <- at <<- at + 1L
    keep <- function(to) if (to >= start) out <<- c(out, rawToChar(as.raw(b[start:to])))
    while (b[at] != 34L) {
      if (b[at] == 92L) {
        keep(at - 1L)
        code <- rawToChar(as.raw(b[at + 1L]))
        if (code == "u") {
          point <- strtoi(rawToChar(as.raw(b[(at + 2L):(at + 5L)])), 16L)
          at <<- at + 6L
          if (point >= 0xD800 && point < 0xDC00) { # the first of two
            point <- 0x10000 + (point - 0xD800) * 0x400 + strtoi(rawToChar(as.raw(b[(at + 2L):(at + 5L)])), 16L) - 0xDC00
            at <<- at + 6L
          }
          out <- c(out, intToUtf8(point))
        } else {
          out <- c(out, switch(code, n = "\n", t = "\t", r = "\r", b = "\b", f = "\f", code))
          at <<- at + 2L
        }
        start <- at
      } else at <<- at + 1L
    }
    keep(at - 1L)
    at <<- at + 1L
    s <- paste(out, collapse = "")
    Encoding(s) <- "UTF-8"
    s
  }
  value <- function() {
    blank()
    c <- b[at]
    if (c == 34L) return(text())
    if (c == 123L || c == 91L) {
      named <- c == 123L
      end <- if (named) 125L else 93L
      out <- list()
      names <- character(0)
      at <<- at + 1L
      blank()
      if (b[at] == end) { at <<- at + 1L; return(out) }
      repeat {
        blank()
        if (named) { names <- c(names, text()); blank(); at <<- at + 1L }
        v <- value()
        out[length(out) + 1L] <- list(v)
        blank()
        at <<- at + 1L
        if (b[at - 1L] == end) break
      }
      if (named) names(out) <- names
      return(out)
    }
    start <- at
    while (at <= length(b) && !(b[at] %in% c(44L, 93L, 125L, 32L, 10L, 13L, 9L))) at <<- at + 1L
    word <- rawToChar(as.raw(b[start:(at - 1L)]))
    switch(word, true = TRUE, false = FALSE, null = NULL, as.numeric(word))
  }
  value()
}

# ---- tensors

decode <- function(kind, shape, b) {
  n <- prod(shape)
  whole <- function(size, signed = TRUE) readBin(b, "integer", n, size, signed, "little")
  wide <- function(signed) {
    words <- readBin(b, "integer", 2 * n, 4L, endian = "little")
    low <- as.numeric(words[c(TRUE, FALSE)])
    low[low < 0] <- low[low < 0] + 2^32
    high <- as.numeric(words[c(FALSE, TRUE)])
    if (!signed) high[high < 0] <- high[high < 0] + 2^32
    high * 2^32 + low
  }
  v <- switch(kind,
    BOOL = b != as.raw(0), UINT8 = whole(1L, FALSE), INT8 = whole(1L), UINT16 = whole(2L, FALSE), INT16 = whole(2L), INT32 = whole(4L),
    UINT32 = { w <- as.numeric(whole(4L)); w[w < 0 & !is.na(w)] <- w[w < 0 & !is.na(w)] + 2^32; w },
    INT64 = wide(TRUE), UINT64 = wide(FALSE),
    FP32 = readBin(b, "numeric", n, 4L, endian = "little"), FP64 = readBin(b, "numeric", n, 8L, endian = "little"),
    BYTES = {
      out <- character(n)
      at <- 1
      for (i in seq_len(n)) {
        size <- u32(b, at)
        at <- at + 4
        if (size > 0) out[i] <- rawToChar(b[at:(at + size - 1)])
        at <- at + size
      }
      Encoding(out) <- "UTF-8"
      out
    },
    stop("R has no numbers like ", kind))
  if (length(shape) < 2) return(v)
  if (length(shape) == 2) return(matrix(v, shape[1], shape[2], byrow = TRUE))
  aperm(array(v, rev(shape)), rev(seq_along(shape)))
}

# encode gives datatype, shape and bytes.
encode <- function(v) {
  shape <- if (is.null(dim(v))) length(v) else dim(v)
  if (is.factor(v)) v <- as.character(v)
  if (length(dim(v)) > 1) v <- as.vector(aperm(v, rev(seq_along(dim(v)))))
  v <- as.vector(v)
  if (is.character(v)) {
    v[is.na(v)] <- ""
    parts <- lapply(enc2utf8(v), function(s) { b <- charToRaw(s); c(bytes4(length(b)), b) })
    return(list(kind = "BYTES", shape = shape, raw = if (length(parts)) unlist(parts) else raw(0)))
  }
  if (is.logical(v) && !anyNA(v)) return(list(kind = "BOOL", shape = shape, raw = as.raw(v)))
  if (is.integer(v) && !anyNA(v)) return(list(kind = "INT32", shape = shape, raw = writeBin(v, raw(), 4L, "little")))
  if (is.numeric(v) || is.logical(v)) {
    v <- as.numeric(v)
    v[is.na(v)] <- NaN
    return(list(kind = "FP64", shape = shape, raw = writeBin(v, raw(), 8L, "little")))
  }
  stop("an answer of ", class(v)[1], " has no place in a tensor")
}

# ---- models

fields <- function(list) {
  one <- function(f) {
    text <- paste0("{\"name\":", quoted(f$name))
    if (!is.null(f$datatype)) text <- paste0(text, ",\"type\":", quoted(f$datatype))
    paste0(text, ",\"shape\":", if (is.null(f$shape)) "null" else numbers(f$shape), "}")
  }
  paste0("[", paste(vapply(list, one, ""), collapse = ","), "]")
}

# from_rds serves an object by its predict method. A model with terms tells its columns and their types.
from_rds <- function(path) {
  object <- readRDS(path)
  classes <- attr(if (is.list(object)) object$terms, "dataClasses")
  columns <- names(classes)
  if (length(columns)) {
    response <- attr(object$terms, "response")
    if (response > 0) columns <- columns[-response]
  }
  kinds <- c(numeric = "FP64", factor = "BYTES", ordered = "BYTES", character = "BYTES", logical = "BOOL")
  list(
    inputs = lapply(columns, function(n) list(name = n, datatype = unname(kinds[classes[[n]]]), shape = -1)),
    outputs = list(list(name = "predict", shape = NULL)),
    answer = function(inputs) {
      rows <- as.data.frame(inputs, stringsAsFactors = FALSE, optional = TRUE)
      v <- if (inherits(object, "glm")) predict(object, rows, type = "response") else predict(object, rows)
      list(predict = if (is.matrix(v)) unname(v) else unname(v))
    })
}

from_program <- function(path) {
  folder <- if (dir.exists(path)) path else dirname(path)
  program <- new.env(parent = globalenv())
  source(if (dir.exists(path)) file.path(path, "predict.R") else path, local = program)
  if (is.null(program$predict_model)) stop("predict.R defines no predict_model")
  model <- if (is.null(program$load_model)) NULL else program$load_model(folder)
  list(inputs = program$INPUTS, outputs = program$OUTPUTS, answer = function(inputs) {
    v <- program$predict_model(model, inputs)
    if (is.data.frame(v)) as.list(v) else if (is.list(v)) v else list(predict = v)
  })
}

told <- function(e, kind) paste0("{\"kind\":", quoted(kind), ",\"message\":", quoted(conditionMessage(e)), "}")

answer <- function(model, frame) {
  header <- parse(frame$header)
  inputs <- list()
  at <- 0
  for (i in header$inputs) {
    b <- if (i$size > 0) frame$raw[(at + 1):(at + i$size)] else raw(0)
    at <- at + i$size
    inputs[[i$name]] <- decode(i$datatype, unlist(i$shape), b)
  }
  out <- model$answer(inputs)
  wanted <- unlist(header$outputs)
  if (length(wanted)) {
    missing <- setdiff(wanted, names(out))
    if (length(missing)) stop("there is no output ", missing[1])
    out <- out[wanted]
  }
  parts <- lapply(out, encode)
  describe <- function(name) {
    p <- parts[[name]]
    paste0("{\"name\":", quoted(name), ",\"datatype\":", quoted(p$kind), ",\"shape\":", numbers(p$shape), ",\"size\":", length(p$raw), "}")
  }
  text <- paste0("{\"outputs\":[", paste(vapply(names(parts), describe, ""), collapse = ","), "]}")
  send(RESULT, text, lapply(parts, function(p) p$raw), frame$id)
}

send(HELLO, paste0("{\"protocol\":1,\"language\":\"r\",\"version\":", quoted(paste(R.version$major, R.version$minor, sep = ".")), "}"))
model <- NULL
repeat {
  frame <- receive()
  if (is.null(frame) || frame$kind == DRAIN) break
  if (frame$kind == LOAD) {
    loaded <- tryCatch({
      path <- parse(frame$header)$path
      model <- if (!dir.exists(path) && grepl("\\.rds$", path, ignore.case = TRUE)) from_rds(path) else from_program(path)
      TRUE
    }, error = function(e) { send(ERROR, told(e, "load")); FALSE })
    if (!loaded) break
    send(READY, paste0("{\"inputs\":", fields(model$inputs), ",\"outputs\":", fields(model$outputs), ",\"about\":{\"task\":\"tensors\"},\"versions\":{}}"))
  } else if (frame$kind == INFER) {
    tryCatch(answer(model, frame), error = function(e) {
      message(conditionMessage(e))
      send(ERROR, told(e, "input"), id = frame$id) # R does not tell a caller's mistake from the model's own
    })
  } else if (frame$kind == PING) send(PING, "{}", id = frame$id)
}
quit(status = 0)
