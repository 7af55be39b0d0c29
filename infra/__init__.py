"""Batuta in an AWS account: one construct per concern, put together by ``stage.BatutaStage``."""
