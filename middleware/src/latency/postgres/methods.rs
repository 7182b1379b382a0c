//! The methods that a client and a transaction share.

/// Methods on `self.inner`, which is, or derefs to, a client or a transaction of `tokio_postgres`. Each is the method of the same name there, measured.
macro_rules! statements {
    () => {
        /// Prepares a statement. What comes back knows its text.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::prepare`].
        pub async fn prepare(&self, query: &str) -> Result<Prepared, Error> {
            let statement = database(self.inner.prepare(query)).await?;
            Ok(Prepared::new(statement, query))
        }

        /// Prepares a statement with types of its parameters.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::prepare_typed`].
        pub async fn prepare_typed(
            &self,
            query: &str,
            parameter_types: &[Type],
        ) -> Result<Prepared, Error> {
            let statement = database(self.inner.prepare_typed(query, parameter_types)).await?;
            Ok(Prepared::new(statement, query))
        }

        /// Runs a statement; all its rows.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::query`].
        pub async fn query<T>(
            &self,
            statement: &T,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Vec<Row>, Error>
        where
            T: ?Sized + StatementText,
        {
            named(statement, params)
                .run(self.inner.query(statement.inner(), params))
                .await
        }

        /// Runs a statement that gives one row.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::query_one`]; so also where there are none or more rows.
        pub async fn query_one<T>(
            &self,
            statement: &T,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Row, Error>
        where
            T: ?Sized + StatementText,
        {
            named(statement, params)
                .run(self.inner.query_one(statement.inner(), params))
                .await
        }

        /// Runs a statement that gives one row or none.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::query_opt`]; so also where there are more rows.
        pub async fn query_opt<T>(
            &self,
            statement: &T,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Option<Row>, Error>
        where
            T: ?Sized + StatementText,
        {
            named(statement, params)
                .run(self.inner.query_opt(statement.inner(), params))
                .await
        }

        /// Runs a statement; its rows as they come.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::query_raw`].
        pub async fn query_raw<T, P, I>(&self, statement: &T, params: I) -> Result<Rows, Error>
        where
            T: ?Sized + StatementText,
            P: BorrowToSql,
            I: IntoIterator<Item = P>,
            I::IntoIter: ExactSizeIterator,
        {
            let rows = Statement::of(statement.text())
                .run(self.inner.query_raw(statement.inner(), params))
                .await?;
            Ok(Rows::new(rows))
        }

        /// Runs a text with types of its parameters, without preparing it; all its rows.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::query_typed`].
        pub async fn query_typed(
            &self,
            query: &str,
            params: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<Vec<Row>, Error> {
            typed(query, params)
                .run(self.inner.query_typed(query, params))
                .await
        }

        /// The same of a text that gives one row.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::query_typed_one`].
        pub async fn query_typed_one(
            &self,
            query: &str,
            params: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<Row, Error> {
            typed(query, params)
                .run(self.inner.query_typed_one(query, params))
                .await
        }

        /// The same of a text that gives one row or none.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::query_typed_opt`].
        pub async fn query_typed_opt(
            &self,
            query: &str,
            params: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<Option<Row>, Error> {
            typed(query, params)
                .run(self.inner.query_typed_opt(query, params))
                .await
        }

        /// The same; its rows as they come.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::query_typed_raw`].
        pub async fn query_typed_raw<P, I>(&self, query: &str, params: I) -> Result<Rows, Error>
        where
            P: BorrowToSql,
            I: IntoIterator<Item = (P, Type)>,
        {
            let rows = Statement::of(Some(query))
                .run(self.inner.query_typed_raw(query, params))
                .await?;
            Ok(Rows::new(rows))
        }

        /// Runs a statement; the number of rows that it changed.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::execute`].
        pub async fn execute<T>(
            &self,
            statement: &T,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<u64, Error>
        where
            T: ?Sized + StatementText,
        {
            named(statement, params)
                .run(self.inner.execute(statement.inner(), params))
                .await
        }

        /// Runs a text with types of its parameters, without preparing it; the number of rows that it changed.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::execute_typed`].
        pub async fn execute_typed(
            &self,
            query: &str,
            params: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<u64, Error> {
            typed(query, params)
                .run(self.inner.execute_typed(query, params))
                .await
        }

        /// Runs a statement with parameters from an iterator.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::execute_raw`].
        pub async fn execute_raw<T, P, I>(&self, statement: &T, params: I) -> Result<u64, Error>
        where
            T: ?Sized + StatementText,
            P: BorrowToSql,
            I: IntoIterator<Item = P>,
            I::IntoIter: ExactSizeIterator,
        {
            Statement::of(statement.text())
                .run(self.inner.execute_raw(statement.inner(), params))
                .await
        }

        /// Begins a `COPY ... FROM STDIN`. What is waited for while it is written is measured too.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::copy_in`].
        pub async fn copy_in<T, U>(&self, statement: &T) -> Result<CopyIn<U>, Error>
        where
            T: ?Sized + StatementText,
            U: Buf + 'static + Send,
        {
            let sink = Statement::of(statement.text())
                .run(self.inner.copy_in(statement.inner()))
                .await?;
            Ok(CopyIn::new(sink))
        }

        /// Begins a `COPY ... TO STDOUT`. What is waited for while it is read is measured too.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::copy_out`].
        pub async fn copy_out<T>(&self, statement: &T) -> Result<CopyOut, Error>
        where
            T: ?Sized + StatementText,
        {
            let stream = Statement::of(statement.text())
                .run(self.inner.copy_out(statement.inner()))
                .await?;
            Ok(CopyOut::new(stream))
        }

        /// Runs one or more statements of a text by the simple protocol. It counts as one.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::simple_query`].
        pub async fn simple_query(&self, query: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
            Statement::of(Some(query))
                .run(self.inner.simple_query(query))
                .await
        }

        /// Runs one or more statements of a text, without their rows. It counts as one.
        ///
        /// # Errors
        ///
        /// As [`tokio_postgres::Client::batch_execute`].
        pub async fn batch_execute(&self, query: &str) -> Result<(), Error> {
            Statement::of(Some(query))
                .run(self.inner.batch_execute(query))
                .await
        }

        /// A way to cancel what this connection runs.
        #[must_use]
        pub fn cancel_token(&self) -> CancelToken {
            self.inner.cancel_token()
        }
    };
}

pub(super) use statements;
